import Commerce
import Store

/// A write that should have been done was not.
struct NotDone: Error {
    let result: String
}

extension WriteResult {
    var value: Value {
        get throws {
            guard case .done(let value) = self else { throw NotDone(result: "\(self)") }
            return value
        }
    }
}

extension Outcome {
    var value: Value {
        get throws {
            guard case .done(let value) = self else { throw NotDone(result: "\(self)") }
            return value
        }
    }
}
