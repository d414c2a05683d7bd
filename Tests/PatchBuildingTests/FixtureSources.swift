//===----------------------------------------------------------------------===//
// Moult: live patching for Linux
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

/// Sources for the tests of matching, comparing and linking, written to make the compiler and the linker use
/// what real libraries use.
enum FixtureSources {
    /// Static callees, literals, jump tables, switch tables, cold parts, `__func__`, variables of functions.
    static let first = """
        #include <stdio.h>
        #include <stdlib.h>
        #include <string.h>
        extern int second_value;
        extern int second_function(int);
        __attribute__((visibility("hidden"))) extern int second_hidden(int);
        __attribute__((visibility("hidden"))) extern int hidden_value;
        int first_value = 7;
        static int counter;
        static const char *const names[] = {"zero", "one", "two", "three"};
        static const unsigned char table[] = {3, 1, 4, 1, 5, 9, 2, 6};
        static int settings[4] = {10, 20, 30, 40};

        static __attribute__((noinline)) int helper(int x) { counter += x; return second_function(x) + counter; }
        static __attribute__((noinline)) int other_helper(int x) { return helper(x * 5) - 2; }

        int jump_table(int x) {
            switch (x) {
            case 0: return second_function(11);
            case 1: puts("case one"); return 2;
            case 2: return helper(3);
            case 3: return second_value;
            case 4: return first_value;
            case 5: return second_hidden(77);
            case 6: abort();
            }
            return 100;
        }

        int switch_table(int x) {
            switch (x) {
            case 0: return 12; case 1: return 33; case 2: return 5; case 3: return 99; case 4: return 1;
            case 5: return 41;
            }
            return 0;
        }

        const char *name_of(int i) { return i >= 0 && i < 4 ? names[i] : "unknown"; }
        const char *own_name(void) { return __func__; }
        const char *other_name(void) { return __func__; }

        int count_calls(void) { static int calls; return ++calls; }
        int two_counters(int x) {
            if (x) { static int twin; return ++twin; } else { static int twin = 100; return ++twin; }
        }
        int twin_counters(int x) {
            if (x) { static int same; return ++same; } else { static int same; return --same; }
        }
        int count_others(void) { static int calls; calls += 2; return calls; }

        int sum_table(int n) {
            int sum = 0;
            for (int i = 0; i < n && i < 8; i++) sum += table[i] * settings[i & 3];
            return sum;
        }

        int with_cold_part(int *p) {
            if (__builtin_expect(p == 0, 0)) { puts("null"); puts("pointer"); second_function(3); abort(); }
            return *p + other_helper(*p);
        }

        int (*function_pointer(void))(int) { return helper; }
        int (*own_pointer(void))(int) { return jump_table; }
        double scale(double x) { return x * 3.25 + hidden_value; }
        long length(const char *s) { return (long)strlen(s) + 1; }
        int alone(int x) { return x * 3 + 4; }
        int hidden_caller(int x) { if (x < 0) return 0; return second_hidden(x) + 6; }
        int caller(int x) { return helper(x) + 1; }
        int pair_a(int x);
        int pair_b(int x) { return x <= 0 ? 1 : pair_a(x - 1) + 2; }
        int pair_a(int x) { return x <= 0 ? 3 : pair_b(x - 1) + 4; }
        """

    /// What the first file refers to.
    static let second = """
        #include <stdlib.h>
        int second_value = 21;
        __attribute__((visibility("hidden"))) int hidden_value = 5;
        int second_function(int x) { return x + second_value; }
        __attribute__((visibility("hidden"))) __attribute__((noinline)) int second_hidden(int x) { return x * 2 + hidden_value; }
        int second_caller(int x) { return second_hidden(x) + atoi("12"); }
        const char *second_text(void) { return "unknown"; }
        """

    static var both: [(name: String, text: String)] { [("first.c", first), ("second.c", second)] }
}
