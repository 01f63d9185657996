import Commerce
import Store
import TestSupport
import Testing

@testable import PostgresStore

/// Opening a store on a database that is empty, in use, newer or another program's.
@Suite struct PostgresSchemaTests {
    private static func failure(_ home: PostgresHome, _ configure: (inout StoreOptions) -> Void = { _ in }) -> StoreError.Code? {
        do {
            _ = try home.open(nil, configure)
            return nil
        } catch {
            return (error as? StoreError)?.code
        }
    }

    @Test("services that start at once on an empty database make one schema and one store")
    func together() async throws {
        try await PostgresHome.with { home in
            let identities = try await withThrowingTaskGroup(of: StoreIdentity.self) { group in
                for _ in 0..<6 { group.addTask { try await offPool { try home.open().identity } } }
                return try await group.reduce(into: Set()) { $0.insert($1) }
            }
            #expect(identities.count == 1)
            #expect(try home.sql("SELECT count(*) FROM identity") == "1")
        }
    }

    /// How many migrations a program must know, and how many were made.
    private static let versions = "SELECT version, made FROM firstcome_schema"

    @Test("a schema that only later programs may use is refused and stays as it is")
    func newer() async throws {
        try await PostgresHome.with { home in
            try home.open().close()
            let newer = PostgresTables.migrations.count + 1
            try home.sql("UPDATE firstcome_schema SET version = \(newer), made = \(newer)")
            #expect(Self.failure(home) == .newerVersion)
            #expect(Self.failure(home) { $0.isReadOnly = true } == .newerVersion)
            #expect(try home.sql(Self.versions) == "\(newer)|\(newer)")
        }
    }

    @Test("a schema to which a later release has added is used, also for reading, and stays as it is")
    func addedTo() async throws {
        try await PostgresHome.with { home in
            try home.open().close()
            try home.sql("UPDATE firstcome_schema SET made = made + 7; ALTER TABLE users ADD COLUMN later bigint")
            let before = try home.sql(Self.versions)
            let user = try await home.open().createUser(name: "Jin", in: .at(noon)).value
            #expect(try home.open { $0.isReadOnly = true }.makePointReader().user(user.id) == user)
            #expect(try home.sql(Self.versions) == before)
        }
    }

    @Test("a schema of the first releases gets what is new, and they may still use it", arguments: [1, 2])
    func former(version: Int) async throws {
        try await PostgresHome.with { home in
            // As a program made it that knew no more than that.
            try home.sql(
                "CREATE TABLE firstcome_schema (id bigint PRIMARY KEY CHECK (id = 1), version bigint NOT NULL);"
                    + "INSERT INTO firstcome_schema VALUES (1, \(version))")
            for migration in PostgresTables.migrations[..<version] { for statement in migration.statements { try home.sql(statement) } }
            try home.sql(
                "INSERT INTO identity (id, store) VALUES (1, '0123456789abcdef'); INSERT INTO incarnations VALUES (0, 0);"
                    + "INSERT INTO counters VALUES ('users', 0), ('events', 0)")
            #expect(Self.failure(home) { $0.isReadOnly = true } == .unavailable)
            _ = try await home.open().createUser(name: "Jin", in: .at(noon)).value
            #expect(try home.open { $0.isReadOnly = true }.userCount == 1)
            #expect(try home.sql(Self.versions) == "2|\(PostgresTables.migrations.count)")
            #expect(try home.sql("SELECT to_regclass('events_waiting_by_place') IS NOT NULL") == "t")
        }
    }

    @Test("a new schema may be used by the releases that its migrations leave in use")
    func new() async throws {
        try await PostgresHome.with { home in
            try home.open().close()
            let least = PostgresTables.migrations.map(\.leastKnown).max() ?? 0
            #expect(try home.sql(Self.versions) == "\(least)|\(PostgresTables.migrations.count)")
        }
    }

    @Test("a migration that leaves the release before it in use only adds, or tells the planner something")
    func twoSteps() {
        for (index, migration) in PostgresTables.migrations.enumerated() {
            #expect(migration.leastKnown <= index + 1)
            guard migration.leastKnown <= index else { continue }
            for statement in migration.statements {
                let adds =
                    ["CREATE TABLE ", "CREATE INDEX ", "CREATE SEQUENCE ", "CREATE FUNCTION ", "INSERT INTO "].contains {
                        statement.hasPrefix($0)
                    }
                    // A trigger on a table of an earlier release would concern that release.
                    || statement.contains(/^CREATE TRIGGER \w+ [A-Z ]+ ON admin_log\n/)
                    // That release inserts rows without the column.
                    || statement.contains(/^ALTER TABLE \w+ ADD COLUMN \w+ \w+(?: NOT NULL DEFAULT .+)?$/)
                let tells =
                    statement.hasPrefix("ANALYZE ")
                    || statement.contains(/^ALTER TABLE \w+ ALTER COLUMN \w+ SET \(n_distinct = [-0-9.]+\)$/)
                #expect(adds || tells, "\(statement)")
            }
        }
    }

    @Test("a database with tables of another program is refused")
    func foreign() async throws {
        try await PostgresHome.with { home in
            try home.sql("CREATE TABLE users (name text)")
            #expect(Self.failure(home) == .corrupt)
            #expect(try home.sql("SELECT to_regclass('firstcome_schema') IS NULL") == "t")
        }
    }

    @Test("a server that may lose answered writes is refused before anything is made in its database")
    func unsuitable() async throws {
        try await PostgresHome.with { home in
            var configuration = home.configuration()
            configuration.allowsUnsuitableServer = false
            let error = #expect(throws: StoreError.self) { _ = try home.open(configuration) }
            #expect(error?.code == .unavailable && error?.message.contains("fsync") == true)
            let hasNone = try home.sql("SELECT to_regclass('firstcome_schema') IS NULL")
            #expect(hasNone == "t")
        }
    }

    @Test("a store that is opened for reading writes nothing, and needs a schema that is there")
    func readOnly() async throws {
        try await PostgresHome.with { home in
            #expect(Self.failure(home) { $0.isReadOnly = true } == .unavailable)
            let user = try await home.open().createUser(name: "Jin", in: .at(noon)).value
            let reader = try home.open { $0.isReadOnly = true }
            #expect(reader.userCount == 1)
            #expect(try reader.makePointReader().user(user.id) == user)
            let error = await #expect(throws: StoreError.self) { _ = try await reader.createUser(name: "Ada", in: .at(noon)) }
            #expect(error?.code == .readOnly)
        }
    }

    @Test("a store that is opened again goes on: users, ids, order numbers and the places of events")
    func again() async throws {
        try await PostgresHome.with { home in
            var numbers: [OrderNumber] = []
            for round in 1...3 {
                let store = try home.open()
                #expect(store.userCount == Int64(round - 1))
                let user = try await store.createUser(name: "Jin", in: .at(noon)).value.id
                #expect(user == UserID(Int64(round)))
                _ = try await store.charge(userID: user, amount: Won(5_000), in: .at(noon)).value
                let tea = try await store.createProduct(name: "Tea", price: Won(1_000), stock: 5, in: .at(noon)).value.id
                let items = [RequestedItem(productID: tea, quantity: 1)]
                numbers.append(try await store.checkout(userID: user, items: items, issuedCouponID: nil, in: .at(noon)).value.order.number)
                #expect(try await store.lastEventID() == EventID(Int64(round)))
                #expect(try await store.movements(after: EventID(0), limit: 10).map(\.eventID.rawValue) == (1...Int64(round)).map { $0 })
                store.close()
                #expect(try home.sql("SELECT count(*) FROM lanes") == "0")
            }
            #expect(Set(numbers.map(\.counter)).count == 3)
        }
    }
}
