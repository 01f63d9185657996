import Foundation
import TestSupport
import Testing

/// `Tests/run-suites` on suites that are a line of shell each.
@Suite("the suite runner")
struct RunSuitesTests {
    @Test("a suite that fails keeps no other from running, and is named with its test and why")
    func failing() async throws {
        let run = try await run(["green", "red", "green"])
        #expect(run.status == 1)
        #expect(run.lines.last == "4 passed, 1 failed, 2 skipped")
        #expect(run.lines.contains(#"- red: "two is three": SumTests.swift:7:9: Expectation failed: 2 == 3"#))
        #expect(run.lines.contains { $0.hasPrefix("red    FAILED  0 passed, 1 failed") })
    }

    @Test("where everything passes, the status is 0")
    func passing() async throws {
        let run = try await run(["green", "plain"])
        #expect(run.status == 0)
        #expect(run.lines.last == "3 passed, 0 failed, 1 skipped")
    }

    @Test("two suites run at the same time, and each line says whose it is")
    func atOnce() async throws {
        // Each waits for the other's file.
        let folder = TemporaryFolder()
        defer { folder.remove() }
        let meet = """
            touch \(folder.path)/$1; for i in $(seq 600); do [ -e \(folder.path)/$2 ] && break; sleep 0.1; done; [ -e \(folder.path)/$2 ] || exit 1
            echo '✔ Test "a" passed after 0.1 seconds.'; echo '✔ Test run with 1 test passed after 0.1 seconds.'
            """
        let run = try await run(["one", "two"], script: "if [ $1 = one ]; then set one two; else set two one; fi\n" + meet)
        #expect(run.lines.last == "2 passed, 0 failed")
        for suite in ["one", "two"] { #expect(run.lines.contains("\(suite): ✔ Test \"a\" passed after 0.1 seconds.")) }
    }

    @Test("nothing is said of skipped tests where there are none")
    func noneSkipped() async throws {
        let run = try await run(["plain"])
        #expect(run.lines.last == "1 passed, 0 failed")
    }

    @Test(
        "a suite without a good end has failed, whatever its tests did",
        arguments: [
            ("crash", "- crash: was ended by SIGSEGV; running: \"goes down\""),
            ("reported", "- reported: ended with status 1 and without a result; running: \"goes down\""),
            ("empty", "- empty: ran no test"), ("mute", "- mute: ended with status 0 and without a result"),
            ("odd", "- odd: ended with status 3, though no test failed"),
            ("silent", "- silent: printed nothing for 0.5 seconds and was ended"),
        ])
    func brokenSuites(suite: String, complaint: String) async throws {
        let run = try await run([suite, "plain"])
        #expect(run.status == 1)
        #expect(run.lines.contains(complaint))
        #expect(run.lines.last?.hasSuffix(" passed, 1 failed") == true)
    }

    private static let script = #"""
        case $1 in
        green) echo '◇ Test "a \"b\"" started.'; echo '✔ Test "a \"b\"" passed after 0.1 seconds.'
            echo '✔ Test f(x:) with 3 test cases passed after 0.1 seconds.'; echo '➜ Test "later" skipped: "no disk"'
            echo '✔ Test run with 3 tests in 1 suite passed after 0.3 seconds.';;
        plain) printf '\033[92m✔\033[0m Test "a" passed after 0.1 seconds.\n✔ Test run with 1 test passed after 0.1 seconds.\n';;
        red) echo '◇ Test "two is three" started.'
            echo '✘ Test "two is three" recorded an issue at SumTests.swift:7:9: Expectation failed: 2 == 3'
            echo '✘ Test "two is three" failed after 0.1 seconds with 1 issue.'
            echo '✘ Test run with 1 test in 1 suite failed after 0.3 seconds with 1 issue.'; exit 1;;
        crash) echo '◇ Test "goes down" started.'; kill -SEGV $$;;
        reported) echo '◇ Test "goes down" started.'; exit 1;;
        empty) echo '✔ Test run with 0 tests passed after 0.1 seconds.';;
        odd) printf '✔ Test "a" passed after 0.1 seconds.\n✔ Test run with 1 test passed after 0.1 seconds.\n'; exit 3;;
        silent) exec sleep 300;;
        esac
        """#

    private func run(_ suites: [String], script: String = Self.script) async throws -> Tool.Output {
        let tests = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
        let runner = tests.appendingPathComponent("run-suites").path
        return try await Tool.run(
            program: [runner] + suites + ["--", "sh", "-c", script, "sh", "{}"],
            environment: suites.contains("silent") ? ["FIRSTCOME_TEST_SILENCE": "0.5"] : [:])
    }
}
