import HTTPServer
import Store

extension Call {
    /// Answers with a row that was looked up: at once where it was found at once, otherwise by callback. Neither takes a task.
    ///
    /// `answer` should capture nothing: then an answer at once allocates nothing.
    func show<Row>(
        _ found: Found<Row>, _ answer: @escaping @Sendable (Row, Call) throws -> HTTPResponse
    ) throws -> HTTPAnswer {
        switch found {
        case .now(let row): .now(try answer(row, self))
        case .later(let begin): .callback { [self] done in begin { row in done(Result { try answer(row.get(), self) }) } }
        }
    }

    /// As ``show(_:_:)``, for an answer that depends on something else of the request.
    func show<Row, Wanted: Sendable>(
        _ found: Found<Row>, _ wanted: Wanted, _ answer: @escaping @Sendable (Row, Wanted, Call) throws -> HTTPResponse
    ) throws -> HTTPAnswer {
        switch found {
        case .now(let row): .now(try answer(row, wanted, self))
        case .later(let begin): .callback { [self] done in begin { row in done(Result { try answer(row.get(), wanted, self) }) } }
        }
    }
}
