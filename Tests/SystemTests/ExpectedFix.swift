//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

/// One fix of Debian 12's openssl and what the builder must make of it.
struct ExpectedFix: Sendable {
    /// Where the vulnerable target comes from.
    enum Origin: String, Sendable {
        /// A: not offered; 3.0.20 rebuilt without the distribution's patches.
        case rebuilt = "A"
        /// B: 3.0.20 as shipped, the fix from upstream's 3.0.22.
        case shipped = "B"
        /// C: 3.0.17 as shipped, the fix from upstream's 3.0.20, which was reformatted.
        case reformatted = "C"
    }

    /// Name of the recipe.
    var recipe: String
    /// Where the target comes from.
    var origin: Origin
    /// The verdict's word.
    var verdict: String
    /// Codes and subjects of the reasons: `changed-data CMS_str_reasons`.
    var reasons: Set<String> = []
    /// The functions that are replaced or added, with the suffixes that the compiler gives to parts and clones.
    var functions: Set<String>
}

extension ExpectedFix {
    /// The 32 fixes of one year, but for CVE-2026-54874, which is about structure layouts; CVE-2026-75803 is two.
    ///
    /// Functions are those of an independent analysis of the same sources. Functions that refer to each other make
    /// the verdict `quiescent`, where that analysis only asks for it when a signature changes.
    static let all: [ExpectedFix] = [
        ExpectedFix(
            recipe: "CVE-2026-7383", origin: .rebuilt, verdict: "quiescent",
            reasons: ["functions-depend-on-each-other"], functions: ["out_utf8", "ASN1_mbstring_ncopy"]),
        ExpectedFix(
            recipe: "CVE-2026-9076", origin: .rebuilt, verdict: "automatic",
            functions: ["ossl_cms_RecipientInfo_pwri_crypt"]),
        ExpectedFix(
            recipe: "CVE-2026-34180", origin: .rebuilt, verdict: "automatic", functions: ["asn1_d2i_ex_primitive"]),
        ExpectedFix(
            recipe: "CVE-2026-34182", origin: .rebuilt, verdict: "review",
            functions: [
                "ossl_cms_EncryptedContent_init_bio", "ossl_cms_EncryptedData_init_bio",
                "ossl_cms_EnvelopedData_init_bio", "ossl_cms_AuthEnvelopedData_init_bio",
            ]),
        ExpectedFix(
            recipe: "CVE-2026-42766", origin: .rebuilt, verdict: "automatic",
            functions: ["ossl_cms_RecipientInfo_pwri_crypt"]),
        ExpectedFix(
            recipe: "CVE-2026-42770", origin: .rebuilt, verdict: "automatic", functions: ["dh_set_peer"]),
        ExpectedFix(
            recipe: "CVE-2026-45445", origin: .rebuilt, verdict: "automatic", functions: ["aes_ocb_cipher"]),
        ExpectedFix(
            recipe: "CVE-2026-45446", origin: .rebuilt, verdict: "automatic", functions: ["aes_siv_set_ctx_params"]),
        ExpectedFix(
            recipe: "CVE-2026-45447", origin: .rebuilt, verdict: "automatic", functions: ["PKCS7_verify"]),
        ExpectedFix(
            recipe: "CVE-2026-63072", origin: .shipped, verdict: "quiescent",
            reasons: ["functions-depend-on-each-other"],
            functions: ["CMS_RecipientInfo_decrypt", "cms_kek_cipher", "ossl_cms_RecipientInfo_pwri_crypt"]),
        ExpectedFix(
            recipe: "CVE-2026-63074", origin: .shipped, verdict: "automatic",
            functions: ["ossl_cmp_msg_check_update"]),
        ExpectedFix(
            recipe: "CVE-2026-63076", origin: .shipped, verdict: "automatic",
            functions: ["ossl_cmp_calc_protection"]),
        ExpectedFix(
            recipe: "CVE-2026-75803", origin: .shipped, verdict: "automatic", functions: ["aes_ocb_cipher"]),
        ExpectedFix(
            recipe: "CVE-2026-75803-chacha", origin: .shipped, verdict: "review",
            reasons: ["changed-data ossl_chacha20_ossl_poly1305_functions"],
            functions: ["chacha20_poly1305_cipher", "chacha20_poly1305_update"]),
        ExpectedFix(
            recipe: "CVE-2026-42767", origin: .shipped, verdict: "automatic",
            functions: ["OSSL_CRMF_ENCRYPTEDVALUE_get1_encCert"]),
        ExpectedFix(
            recipe: "ccm-final-tag", origin: .shipped, verdict: "quiescent",
            reasons: ["functions-depend-on-each-other"], functions: ["ossl_ccm_stream_final", "ossl_ccm_cipher"]),
        ExpectedFix(
            recipe: "CVE-2025-9230", origin: .reformatted, verdict: "automatic",
            functions: ["ossl_cms_RecipientInfo_pwri_crypt"]),
        ExpectedFix(recipe: "CVE-2025-9232", origin: .reformatted, verdict: "automatic", functions: ["use_proxy"]),
        ExpectedFix(
            recipe: "CVE-2025-15467", origin: .reformatted, verdict: "automatic",
            functions: ["evp_cipher_get_asn1_aead_params"]),
        ExpectedFix(
            recipe: "CVE-2025-68160", origin: .reformatted, verdict: "automatic",
            functions: ["linebuffer_write.part.0"]),
        ExpectedFix(
            recipe: "CVE-2025-69418", origin: .reformatted, verdict: "automatic",
            functions: ["CRYPTO_ocb128_encrypt", "CRYPTO_ocb128_decrypt"]),
        ExpectedFix(
            recipe: "CVE-2025-69419", origin: .reformatted, verdict: "quiescent",
            reasons: ["functions-depend-on-each-other"],
            functions: ["bmp_to_utf8.part.0", "OPENSSL_uni2utf8"]),
        ExpectedFix(
            recipe: "CVE-2025-69420", origin: .reformatted, verdict: "automatic",
            functions: ["TS_RESP_verify_signature"]),
        ExpectedFix(
            recipe: "CVE-2025-69421", origin: .reformatted, verdict: "automatic",
            functions: ["PKCS12_item_decrypt_d2i_ex"]),
        ExpectedFix(
            recipe: "CVE-2026-22795", origin: .reformatted, verdict: "automatic",
            functions: ["parse_bag.constprop.0"]),
        ExpectedFix(
            recipe: "CVE-2026-22796", origin: .reformatted, verdict: "automatic",
            functions: ["PKCS7_digest_from_attributes"]),
        ExpectedFix(
            recipe: "CVE-2026-31790", origin: .reformatted, verdict: "automatic", functions: ["rsakem_generate"]),
        ExpectedFix(
            recipe: "CVE-2026-28387", origin: .reformatted, verdict: "automatic", functions: ["dane_match.isra.0"]),
        ExpectedFix(recipe: "CVE-2026-28388", origin: .reformatted, verdict: "automatic", functions: ["get_crl_sk"]),
        ExpectedFix(
            recipe: "CVE-2026-28389", origin: .reformatted, verdict: "automatic",
            functions: ["ossl_cms_dh_envelope", "ossl_cms_ecdh_envelope"]),
        ExpectedFix(
            recipe: "CVE-2026-28390", origin: .reformatted, verdict: "automatic",
            functions: ["ossl_cms_rsa_envelope"]),
        ExpectedFix(
            recipe: "CVE-2026-31789", origin: .reformatted, verdict: "quiescent",
            reasons: ["functions-depend-on-each-other"], functions: ["buf2hexstr_sep", "ossl_buf2hexstr_sep"]),
    ]
}
