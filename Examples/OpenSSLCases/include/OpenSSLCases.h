//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

// One case per fix of Debian's openssl: what a program that uses the library through its public interface sees of the
// fix. Each has a legal use, which must give the same whatever is applied, and a hostile input, whose outcome differs
// with and without the fix. Any thread may run them.

#ifndef MOULT_OPENSSL_CASES_H
#define MOULT_OPENSSL_CASES_H

/// How many cases there are.
int openssl_case_count(void);

/// The name of one, which is its recipe's; null behind the last.
const char *openssl_case_name(int index);

/// Runs the legal use: "good", or "bad: " and what was not as it must be; null if there is no such case.
const char *openssl_case_legal(const char *name);

/// Runs the hostile input: one or two words for what happened (the holes: "accepted", "crashed", ...), or "bad: " and
/// what could not be set up; null if there is no such case. What may crash runs in a child that is forked for it.
const char *openssl_case_hostile(const char *name);

/// Makes the keys and certificates of the cases, which are otherwise made at first use: "good", or "bad: ...".
const char *openssl_cases_prepare(void);

/// Whether a program may let openssl_cases use its own memory functions in children, which shows every access beyond a
/// block of memory or after its end as a crash. To be called before anything else of the library, once.
int openssl_cases_guard_memory(void);

/// Called around each fork. A program with threads lets none of them be inside of the library meanwhile, since a child
/// would wait for ever for a lock that another thread held. Null is the default: children that wait are given up and
/// forked again.
void openssl_cases_around_fork(void (*before)(void), void (*after)(void));

#endif
