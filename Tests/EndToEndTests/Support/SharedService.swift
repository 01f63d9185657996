import TestSupport
import Testing

/// Gives every test of a suite one service, started before the first and stopped after the last, also when tests fail; and another on
/// PostgreSQL where the suite has the trait `.everyEngine`.
struct SharedService: SuiteTrait, TestScoping {
    let setup: LiveService.Setup
    let isRecursive = false

    @TaskLocal fileprivate static var onSQLite: LiveService?
    @TaskLocal fileprivate static var onPostgres: LiveService?

    func provideScope(for test: Test, testCase: Test.Case?, performing function: @Sendable () async throws -> Void) async throws {
        try await LiveService.run(setup) { live in
            try await Self.$onSQLite.withValue(live) {
                guard test.traits.contains(where: { $0 is EveryEngine }) else { return try await function() }
                try await Engine.$current.withValue(.postgres) {
                    try await LiveService.run(setup) { live in
                        try await Self.$onPostgres.withValue(live) {
                            try await Engine.$current.withValue(.sqlite) { try await function() }
                        }
                    }
                }
            }
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
    get throws {
        switch Engine.current {
        case .sqlite: try #require(SharedService.onSQLite, "the suite has no .sharedService trait")
        case .postgres: try #require(SharedService.onPostgres, "the suite has no .sharedService trait")
        }
    }
}
