//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

/// A small library whose sources are there to be changed: three files with a header.
enum MutableSources {
    static let header = """
        struct plume { int length; int width; int barbs; int colour; int age; };
        int mix(int a, int b) __attribute__((visibility("hidden")));
        int fold(int a, int b) __attribute__((visibility("hidden")));
        int spread(int x) __attribute__((visibility("hidden")));
        extern int tuning;
        extern const int widths[8] __attribute__((visibility("hidden")));
        extern struct plume stock[4];
        static inline int clamp(int x) { return x > 40 ? 40 : x < 2 ? 2 : x; }
        static inline int parity(int x) { int r = 0; for (int i = 0; i < 5; i++) r = r + (x >> i & 1) * 3; return r; }
        static inline int blend(int a, int b) { return a * 5 + b * 3 + 1; }
        """

    static let first = """
        #include "plume.h"
        int local_mix(int a, int b) __attribute__((visibility("hidden")));
        int preen(int x); int fledge(int x); int roost(int x); int glide(int x); int soar(int x); int perch(int x);
        static int trim(int x);
        static __attribute__((noinline)) int weigh(int x);
        static int moults = 3;
        static int shades[8] = {4, 9, 2, 7, 5, 3, 8, 6};
        static const int scales[8] = {11, 13, 17, 19, 23, 29, 31, 37};
        int preen(int x) {
            int sum = 2;
            for (int i = 0; i < 6; i++) { sum = sum * 3 + shades[(x + i) & 0x7]; if (sum > 900) sum = sum - 700; }
            return sum + mix(x, 5);
        }
        int fledge(int x) {
            int state = x & 0xf;
            if (state == 4) return spread(x) + 8;
            if (state > 9) return weigh(x) * 2;
            return fold(state, 6) - 1;
        }
        static int trim(int x) { return x < 12 ? x + 3 : x - 9; }
        static __attribute__((noinline)) int weigh(int x) {
            int total = moults;
            for (int i = 0; i < 4; i++) total = total ^ (scales[(x + i) & 0x7] << 2);
            return total;
        }
        int roost(int x) {
            switch (x & 0x7) {
            case 0: return trim(x) + 10; case 1: return weigh(3); case 2: return clamp(x) * 7; case 3: return mix(2, x);
            case 4: return 55; case 5: return trim(x + 4) ^ 6;
            }
            return blend(x, 9);
        }
        int glide(int x) { moults = moults + 1; return moults * 4 + clamp(x); }
        int soar(int x) {
            int height = parity(x), steps = 0;
            while (height > 1 && steps < 20) { height = height / 2; steps++; }
            return steps * 100 + height;
        }
        int perch(int x) { return local_mix(x, 7) + local_mix(3, x); }
        """

    static let second = """
        #include "plume.h"
        int tuning = 14;
        const int widths[8] = {5, 8, 13, 21, 34, 55, 89, 144};
        struct plume stock[4] = {{1, 2, 3, 4, 5}, {6, 7, 8, 9, 10}, {11, 12, 13, 14, 15}, {16, 17, 18, 19, 20}};
        int measure(int x); int age(int x); int compare(int x); int sort(int x); int choose(int x);
        static int rank(const struct plume *p);
        int mix(int a, int b) { int r = a * 7 + b; if (r > 300) r = r - 250; return r ^ tuning; }
        int spread(int x) { int r = 1; for (int i = 0; i < 7; i++) r = r * 2 + widths[(x ^ i) & 0x7]; return r & 4095; }
        int measure(int x) { return stock[x & 0x3].length * 3 + stock[x & 0x3].width - widths[x & 0x7]; }
        int age(int x) { stock[x & 0x3].age = stock[x & 0x3].age + 2; return stock[x & 0x3].age * 10 + stock[x & 0x3].barbs; }
        static int rank(const struct plume *p) { return p->length * 2 + p->colour > 30 ? p->barbs + 1 : p->width - 4; }
        int compare(int x) { return rank(&stock[x & 0x3]) - rank(&stock[(x + 1) & 0x3]); }
        int sort(int x) {
            int best = 0;
            for (int i = 1; i < 4; i++) if (rank(&stock[i & 0x3]) >= rank(&stock[best & 0x3])) best = i;
            return best * 8 + mix(x, 2);
        }
        int choose(int x) { if (x != 6 && x <= 31) return blend(x, 4) + 2; return parity(x) + clamp(x) * 2; }
        """

    static let third = """
        #include "plume.h"
        typedef int (*operation)(int);
        int local_mix(int a, int b) __attribute__((visibility("hidden")));
        int apply(int x); int count(int x); int label(int x); int walk(int x); int tail(int x);
        static int twice(int x) { return x * 2 + 1; }
        static int half(int x) { return x / 2 - 3; }
        static int same(int x) { return x == 5 ? 6 : x; }
        static const operation operations[4] = {twice, half, same, twice};
        int fold(int a, int b) { int r = b; for (int i = 0; i < 3; i++) r = r * 5 + (a >> i); return r % 1009; }
        int local_mix(int a, int b) { int r = a ^ (b << 3); if (r < 25) r = r + 60; return r * 3 - b; }
        int apply(int x) { return operations[x & 0x3](x) + 4; }
        int count(int x) { static int calls = 1; calls = calls + 3; return calls * 2 + (x & 1); }
        int label(int x) { const char *text = x > 16 ? "primary" : "secondary"; return text[x & 0x3] + 7; }
        int walk(int x) {
            int position = x & 0x1f, steps = 0;
            do { position = (position * 5 + 3) & 0x1f; steps++; } while (position != 8 && steps < 40);
            return steps + fold(x, 2) * 3;
        }
        int tail(int x) { return fold(x + 1, 11); }
        """

    static let files = [
        SourceFixture.File(name: "plume.h", text: header), SourceFixture.File(name: "first.c", text: first),
        SourceFixture.File(name: "second.c", text: second), SourceFixture.File(name: "third.c", text: third),
    ]

    /// What can be called from outside.
    static let exported = [
        "preen", "fledge", "roost", "glide", "soar", "perch", "measure", "age", "compare", "sort", "choose", "apply",
        "count", "label", "walk", "tail",
    ]

    /// Functions with two parameters that only the library calls: by a prototype of the header, and by one in each
    /// file.
    static let internalByHeader = ["mix", "fold"]
    static let internalByFile = ["local_mix"]
}
