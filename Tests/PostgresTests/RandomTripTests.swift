import Postgres
import TestSupport
import Testing

/// Random trips on one connection, each compared with what its statements say should happen.
@Suite struct RandomTripTests {
    private enum Step: CaseIterable {
        /// Returns its number; with a name, so that it is prepared, and without.
        case named, unnamed
        /// Adds its number to the table.
        case write
        case notice
        case error
        /// Has a name that no statement of the connection had before, and is refused when it is prepared.
        case unpreparable

        var fails: Bool { self == .error || self == .unpreparable }
    }

    private static let named = (0..<8).map { PostgresStatement("echo \($0)", "SELECT $1 + \($0)", .int8) }
    private static let unnamed = PostgresStatement(nil, "SELECT $1", .int8)
    private static let write = PostgresStatement("write", "INSERT INTO written VALUES ($1)", .int8)
    private static let notice = PostgresStatement("notice", "DO $$ BEGIN RAISE NOTICE 'said'; END $$")
    private static let error = PostgresStatement("error", "SELECT 1 / $1", .int8)

    @Test("whatever a trip is made of, its results, its error and what was written are those of its statements")
    func random() async throws {
        let seed = TestSettings.seed
        try await withConnection { connection in
            var random = SeededGenerator(seed: UInt64(seed))
            try connection.run("CREATE TEMP TABLE written (number bigint)")
            var written: [Int64] = []
            for trip in 0..<150 {
                let steps = (0..<Int.random(in: 1...12, using: &random)).map { _ in
                    // Most steps succeed, so that long trips do.
                    Bool.random(using: &random) || Bool.random(using: &random)
                        ? [Step.named, .unnamed, .write, .notice].randomElement(using: &random) ?? .named
                        : Step.allCases.randomElement(using: &random) ?? .named
                }
                let choices = steps.map { _ in Int.random(in: 0..<Self.named.count, using: &random) }
                let usesTransaction = Bool.random(using: &random)
                let offset = usesTransaction ? 1 : 0
                let firstFault = steps.firstIndex(where: \.fails)
                let context: Comment = "seed \(seed), trip \(trip): \(steps)"
                do throws(PostgresError) {
                    let results = try connection.send { batch in
                        if usesTransaction { batch.begin() }
                        for (index, step) in steps.enumerated() {
                            Self.add(step, number: Int64(index), choice: choices[index], trip: trip, to: &batch)
                        }
                        if usesTransaction { batch.commit() }
                    }
                    #expect(firstFault == nil, context)
                    #expect(results.count == steps.count + 2 * offset, context)
                    for (index, step) in steps.enumerated() where step == .named || step == .unnamed {
                        let wanted = index + (step == .named ? choices[index] : 0)
                        #expect(try results[index + offset].value(0, 0, as: Int.self) == wanted, context)
                    }
                    let notices = steps.indices.filter { steps[$0] == .notice }
                    #expect(results.notices.map(\.statement) == notices.map { $0 + offset }, context)
                    written += steps.indices.filter { steps[$0] == .write }.map { Int64($0) }
                } catch {
                    #expect(error.statement == firstFault.map { $0 + offset }, context)
                    #expect(error.outcome == .refused, context)
                    #expect(connection.transaction == (usesTransaction ? .failed : .none), context)
                    try connection.rollBack(within: hangLimit)
                }
                #expect(connection.transaction == .none, context)
            }
            #expect(!written.isEmpty)
            #expect(try connection.run("SELECT number FROM written")[0].rows.map { try $0.value(0, as: Int64.self) } == written)
        }
    }

    private static func add(_ step: Step, number: Int64, choice: Int, trip: Int, to batch: inout PostgresBatch) {
        switch step {
        case .named: batch.execute(named[choice]) { $0.int8(number) }
        case .unnamed: batch.execute(unnamed) { $0.int8(number) }
        case .write: batch.execute(write) { $0.int8(number) }
        case .notice: batch.execute(notice)
        case .error: batch.execute(error) { $0.int8(0) }
        case .unpreparable: batch.execute(PostgresStatement("none \(trip) \(number)", "SELECT nothing"))
        }
    }
}
