import CLibPQ

extension PostgresConnection {
    /// Reads the results of the trip up to its end, also after an error, so that the connection can take the next trip.
    func readResults(_ connection: OpaquePointer, _ deadline: Deadline) throws(PostgresError) -> PostgresResults {
        var results: [PostgresResult] = []
        results.reserveCapacity(batch.count)
        var failure: PostgresError?
        for next in expected {
            notices.statement = next.step
            guard let handle = try nextResult(connection, deadline) else { throw unexpected(connection, "a result is missing") }
            let result = PostgresResult(handle)
            switch PQresultStatus(handle) {
            case PGRES_COMMAND_OK, PGRES_TUPLES_OK:
                switch next {
                case .prepared(let step): statements.confirm(batch.steps[step].statement.name ?? "")
                case .executed(let step):
                    results.append(result)
                    if batch.steps[step].isCommit && failure == nil { failure = fault(ofCommit: result, at: step) }
                }
            case PGRES_FATAL_ERROR:
                let error = try error(result, at: next.step, connection)
                failure = failure ?? error
            // What follows an error is not run.
            case PGRES_PIPELINE_ABORTED where failure != nil: break
            default: throw unexpected(connection, "a statement is empty or copies data, which a trip cannot")
            }
            guard try nextResult(connection, deadline) == nil else { throw unexpected(connection, "a statement has two results") }
        }
        try readEnd(connection, deadline, &failure)
        if let failure { throw failure }
        return PostgresResults(results: results, notices: notices.collected)
    }

    /// Reads the end of the trip, at which a transaction without `BEGIN` is committed.
    private func readEnd(
        _ connection: OpaquePointer, _ deadline: Deadline, _ failure: inout PostgresError?
    ) throws(PostgresError) {
        let end = batch.count
        notices.statement = end
        while true {
            var next = try nextResult(connection, deadline)
            // libpq separates an error of the commit from the end.
            if next == nil && failure?.statement == end { next = try nextResult(connection, deadline) }
            guard let handle = next else { throw unexpected(connection, "the end is missing") }
            let result = PostgresResult(handle)
            switch PQresultStatus(handle) {
            case PGRES_PIPELINE_SYNC:
                if failure == nil { failure = warning(at: end) }
                return
            case PGRES_FATAL_ERROR where failure == nil: failure = try error(result, at: end, connection)
            default: throw unexpected(connection, "a result is one too many")
            }
        }
    }

    /// Waits for the next result; nil is the end of those of one statement.
    private func nextResult(_ connection: OpaquePointer, _ deadline: Deadline) throws(PostgresError) -> OpaquePointer? {
        while PQisBusy(connection) == 1 {
            let unsent = PQflush(connection)
            let socket = PQsocket(connection)
            guard socket >= 0 else { throw lost(connection) }
            try wait(for: unsent == 1 ? .both : .readable, on: socket, deadline)
            // After a failure, libpq may still hold what the server has said before.
            if PQconsumeInput(connection) == 0 && PQisBusy(connection) == 1 { throw lost(connection) }
        }
        return PQgetResult(connection)
    }

    private func wait(for readiness: Deadline.Readiness, on socket: Int32, _ deadline: Deadline) throws(PostgresError) {
        var reason = "the server did not answer in time"
        while true {
            let next = silence.map { min(deadline, Deadline(in: $0.interval)) } ?? deadline
            if next.wait(for: readiness, on: socket) { return }
            if deadline.hasPassed { break }
            if let silence, silence.givesUp(host) {
                reason = "the server did not answer, and another one has taken its place"
                break
            }
        }
        var error = PostgresError(.timedOut, .unknown, reason)
        error.statement = notices.statement
        throw error
    }

    /// - Throws: the error, where the session or the connection ended with it.
    private func error(_ result: PostgresResult, at step: Int, _ connection: OpaquePointer) throws(PostgresError) -> PostgresError {
        let message = ServerMessage(result.handle, notices.redacted)
        // libpq's own errors have no SQLSTATE: they say that the connection has broken.
        guard !message.sqlState.code.isEmpty else { throw lost(connection) }
        var error = message.error(message.endsSession ? .unknown : .refused)
        error.statement = step
        if step < batch.count {
            let statement = batch.steps[step].statement
            error.statementName = statement.label
            if error.kind == .outdatedStatement, let name = statement.name { statements.outdate(name) }
        }
        if message.endsSession { throw error }
        return error
    }

    private func unexpected(_ connection: OpaquePointer, _ message: String) -> PostgresError {
        PQstatus(connection) == CONNECTION_BAD ? lost(connection) : PostgresError(.protocolViolation, .unknown, message)
    }

    /// What is wrong with a successful `COMMIT`.
    private func fault(ofCommit result: PostgresResult, at step: Int) -> PostgresError? {
        // The server answers a COMMIT of a failed transaction with a success, whose tag is ROLLBACK.
        guard result.commandTag == "COMMIT" else {
            var error = PostgresError(.server(.failedTransaction), .refused, "the transaction had failed before, and was rolled back")
            (error.statement, error.statementName) = (step, batch.steps[step].statement.label)
            return error
        }
        return warning(at: step)
    }

    /// A warning that came with the commit at that step or at the trip's end.
    private func warning(at step: Int) -> PostgresError? {
        let isDoubt = { (notice: PostgresNotice) in notice.isWarning && (notice.statement == step || notice.isUnreplicatedCommit) }
        guard let warning = notices.collected.first(where: isDoubt) else { return nil }
        var error = PostgresError(.commitInDoubt, .unknown, warning.message)
        (error.statement, error.sqlState, error.detail) = (step, warning.sqlState, warning.detail)
        if step < batch.count { error.statementName = batch.steps[step].statement.label }
        return error
    }
}
