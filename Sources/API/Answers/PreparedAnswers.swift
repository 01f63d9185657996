import Commerce
import HTTPServer

/// The answers that are always the same and sent often, rendered once. Each event loop has its own, so that loops do not contend for
/// the same reference counts.
final class PreparedAnswers: Sendable {
    let couponSoldOut = Problem.couponSoldOut.response
    let couponClosed = Problem.couponClosed.response
    let userNotFound = Problem.userNotFound.response
    let notYours = Problem.notYours.response
    let userOnly = Problem.userOnly.response
    let adminOnly = Problem.adminOnly.response
    let notFound = Problem.notFound.response
    let missingToken = Problem(Authentication.Fault.missing).response
    let invalidToken = Problem(Authentication.Fault.malformed).response
    let busyWithTokens = Problem(Authentication.Fault.busy).response
    let tooManyRequests = Problem(HTTPRefusal.tooManyRequests).response
    let tooManyConnections = Problem(HTTPRefusal.tooManyConnections).response
    let tooManyStreams = Problem(
        code: .temporarilyUnavailable, detail: "As many streams of this kind are being sent as the service sends at once. Try again later.",
        headers: [.retryAfter(seconds: 5)]
    ).response

    func response(to refusal: Refusal, at now: Instant) -> HTTPResponse {
        switch refusal {
        case .couponSoldOut: couponSoldOut
        case .couponClosed: couponClosed
        case .userNotFound: userNotFound
        case .notYours: notYours
        default: Problem(refusal, at: now).response
        }
    }

    func response(to fault: Authentication.Fault) -> HTTPResponse {
        switch fault {
        case .missing: missingToken
        case .malformed, .algorithm, .unknownKey, .signature, .claims, .issuer, .audience: invalidToken
        case .expired, .premature: Problem(fault).response
        case .busy: busyWithTokens
        }
    }

    func response(to refusal: HTTPRefusal) -> HTTPResponse {
        switch refusal {
        case .tooManyRequests: tooManyRequests
        case .tooManyConnections: tooManyConnections
        case .badRequest, .payloadTooLarge, .headersTooLarge, .requestTimeout, .expectationFailed, .draining, .connectNotSupported,
            .handlerFailed, .largeBodyTooLarge, .largeBodiesExhausted:
            Problem(refusal).response
        }
    }
}
