import Commerce
import HTTPServer
import Synchronization

/// The memory of all large bodies of the process that are arriving or being read.
///
/// A body takes its declared length before it is read, and a body in chunks as much as the longest one.
final class LargeBodies: Sendable {
    /// Bytes of one body.
    static let longest = 16 * 1024 * 1024
    /// Bytes of all together.
    static let budget = 48 * 1024 * 1024
    /// Bytes of those whose tokens could not be checked when their heads arrived: forged ones must not take the place of others.
    static let budgetOfUnchecked = 16 * 1024 * 1024

    private let taken = Atomic<Int>(0)

    /// Bytes that are taken now.
    var takenBytes: Int { taken.load(ordering: .relaxed) }

    /// Takes the memory of one body; nil where there is too little.
    func take(_ bytes: Int, isChecked: Bool) -> LargeBodyPermit? {
        let limit = isChecked ? Self.budget : Self.budgetOfUnchecked
        guard taken.wrappingAdd(bytes, ordering: .relaxed).newValue <= limit else {
            taken.wrappingSubtract(bytes, ordering: .relaxed)
            return nil
        }
        return LargeBodyPermit(maximumBytes: bytes) { [self] in taken.wrappingSubtract(bytes, ordering: .relaxed) }
    }
}

extension RequestDispatcher {
    /// Decides about a request whose body is longer than an ordinary one: its route must take a list, and its token must be an admin's, as
    /// far as that can be told at once. A token of an issuer that this loop does not know yet is checked once the body is there.
    func admit(_ request: HTTPRequest, length: Int?, to bodies: LargeBodies) -> LargeBodyDecision {
        guard case .found(let place, _) = match(request), case .adminList = accesses[place] else { return .refused(.payloadTooLarge) }
        let isChecked: Bool
        switch authenticate(request, at: clock.now) {
        case .authenticated(.admin): isChecked = true
        case .unchecked: isChecked = false
        case .authenticated(.user), .refused: return .refused(.payloadTooLarge)
        }
        guard length ?? 0 <= LargeBodies.longest else { return .refused(.largeBodyTooLarge) }
        guard let permit = bodies.take(length ?? LargeBodies.longest, isChecked: isChecked) else {
            return .refused(.largeBodiesExhausted)
        }
        return .admitted(permit)
    }
}
