import TestSupport
import Testing

/// Gives every test of a suite one service, started before the first and stopped after the last, also when tests fail.
struct SharedService: SuiteTrait, TestScoping {
    let setup: LiveService.Setup
    let isRecursive = false

    @TaskLocal fileprivate static var current: LiveService?

    func provideScope(for test: Test, testCase: Test.Case?, performing function: @Sendable () async throws -> Void) async throws {
        try await LiveService.run(setup) { live in
            try await Self.$current.withValue(live) { try await function() }
        }
    }
}

extension Trait where Self == SharedService {
    static var sharedService: SharedService { SharedService(setup: LiveService.Setup()) }

    static func sharedService(_ change: (inout LiveService.Setup) -> Void) -> SharedService {
        var setup = LiveService.Setup()
        change(&setup)
        return SharedService(setup: setup)
    }
}

/// The service of the suite that the running test belongs to.
var service: LiveService {
    get throws { try #require(SharedService.current, "the suite has no .sharedService trait") }
}
