import Store
import Testing

/// Opens a store for each test of a suite and removes it after the test, also after one that fails.
struct TemporaryStoreTrait: SuiteTrait, TestTrait, TestScoping {
    /// Not the suite shares a store: each of its tests gets one.
    var isRecursive: Bool { true }

    func provideScope(for test: Test, testCase: Test.Case?, performing function: @Sendable () async throws -> Void) async throws {
        let home = try TemporaryStore()
        defer { home.remove() }
        try await TemporaryStore.$current.withValue(home, operation: function)
    }
}

extension Trait where Self == TemporaryStoreTrait {
    /// See ``StoreSuite``.
    static var temporaryStore: Self { Self() }
}

/// A suite with the trait `.temporaryStore`: each of its tests works on a store of its own.
protocol StoreSuite {}

extension StoreSuite {
    /// The store's folder and what looks at its file.
    var home: TemporaryStore {
        guard let home = TemporaryStore.current else { preconditionFailure("the suite lacks the trait .temporaryStore") }
        return home
    }

    var store: TransactionalStore { home.store }

    /// One connection for point reads, opened at its first use.
    var reader: PointReader { get throws { try home.reader } }
}
