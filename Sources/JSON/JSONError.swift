/// Why bytes are not accepted as JSON.
package struct JSONError: Error, Equatable, CustomStringConvertible {
    /// The kinds of error that callers answer differently.
    package enum Code: Sendable, Hashable {
        /// The bytes are not JSON, or nest too deeply.
        case malformed
        /// The document has more values than the caller allows.
        case tooManyValues
    }

    /// The byte at which reading stopped, counted from 0 at the start of the document.
    package let offset: Int
    /// One English sentence that repeats nothing of the input, so it is safe to send back.
    package let reason: String
    package var code = Code.malformed

    /// The reason and where.
    package var description: String { "\(reason) (at byte \(offset))" }
}
