import Store
import TestSupport
import Testing

/// Opens a store for each test of a suite and removes it after the test, also after one that fails.
struct TemporaryStoreTrait: SuiteTrait, TestTrait, TestScoping {
    /// Whether each test runs on PostgreSQL too, unless ``PostgresExceptions`` names it.
    let alsoOnPostgres: Bool

    /// Not the suite shares a store: each of its tests gets one.
    var isRecursive: Bool { true }

    func provideScope(for test: Test, testCase: Test.Case?, performing function: @Sendable () async throws -> Void) async throws {
        try await onSQLite(function)
        if alsoOnPostgres, PostgresExceptions.reason(for: test) == nil { try await onPostgres(function) }
    }

    private func onSQLite(_ function: @Sendable () async throws -> Void) async throws {
        let home = try TemporaryStore()
        defer { home.remove() }
        try await TemporaryStore.$current.withValue(home, operation: function)
    }

    private func onPostgres(_ function: @Sendable () async throws -> Void) async throws {
        try await TemporaryStore.withPostgres { home, _ in
            do {
                try await TemporaryStore.$current.withValue(home, operation: function)
            } catch {
                Issue.record("on PostgreSQL: \(error)")
                throw error
            }
        }
    }
}

extension TemporaryStore {
    /// Runs `body` with a store on a database of its own, and removes both.
    static func withPostgres(_ body: (TemporaryStore, TemporaryDatabase) async throws -> Void) async throws {
        await PostgresPlaces.shared.take()
        let result = await Result { try await withDatabase(body) }
        await PostgresPlaces.shared.giveBack()
        try result.get()
    }

    private static func withDatabase(_ body: (TemporaryStore, TemporaryDatabase) async throws -> Void) async throws {
        let shared = try await TemporaryPostgres.shared()
        let database = try await offPool { try shared.makeDatabase() }
        let home = try await offPool { try TemporaryStore(on: database) }
        let result = await Result { try await body(home, database) }
        try await offPool {
            home.remove()
            try database.remove()
        }
        try result.get()
    }
}

extension Result where Failure == any Error {
    /// What the body returns or throws.
    fileprivate init(_ body: () async throws -> Success) async {
        do {
            self = .success(try await body())
        } catch {
            self = .failure(error)
        }
    }
}

extension Trait where Self == TemporaryStoreTrait {
    /// See ``StoreSuite``.
    static var temporaryStore: Self { Self(alsoOnPostgres: false) }

    /// Each test runs on SQLite and on PostgreSQL, see ``StoreSuite``.
    static var everyEngine: Self { Self(alsoOnPostgres: true) }
}

/// Bounds how many stores are on PostgreSQL at once: each has some ten connections, and the server takes 200.
actor PostgresPlaces {
    static let shared = PostgresPlaces()

    private var free = 6
    private var waiting: [CheckedContinuation<Void, Never>] = []

    func take() async {
        if free > 0 {
            free -= 1
        } else {
            await withCheckedContinuation { waiting.append($0) }
        }
    }

    func giveBack() {
        if waiting.isEmpty { free += 1 } else { waiting.removeFirst().resume() }
    }
}

/// The tests of suites with the trait `.everyEngine` that do not run on PostgreSQL.
enum PostgresExceptions {
    private static let reasons = [
        "RetentionTests.damage": "ids have gaps there, so the audit counts removed events and does not know which they were",
        "RetentionTests.compaction": "it is about the file of an SQLite store",
    ]

    /// Why the test does not run on PostgreSQL; nil for one that does.
    static func reason(for test: Test) -> String? {
        let suite = test.sourceLocation.fileName.split(separator: ".").first ?? ""
        return reasons["\(suite).\(test.name.prefix { $0 != "(" })"]
    }
}

/// A suite with the trait `.temporaryStore` or `.everyEngine`: each of its tests works on a store of its own.
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
