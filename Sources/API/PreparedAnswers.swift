import Commerce
import HTTPServer

/// The answers that are always the same and sent often, rendered once.
enum PreparedAnswers {
    static let couponSoldOut = Problem.couponSoldOut.response.prerendered()
    static let couponClosed = Problem.couponClosed.response.prerendered()
    static let userNotFound = Problem.userNotFound.response.prerendered()
    static let notYours = Problem.notYours.response.prerendered()
    static let userOnly = Problem.userOnly.response.prerendered()
    static let adminOnly = Problem.adminOnly.response.prerendered()
    static let notFound = Problem.notFound.response.prerendered()
    static let unavailable = Problem.temporarilyUnavailable(retryAfterSeconds: 1).response.prerendered()
    static let missingToken = Problem(Authentication.Fault.missing).response.prerendered()
    static let invalidToken = Problem(Authentication.Fault.invalid).response.prerendered()
    static let tooManyRequests = Problem(HTTPRefusal.tooManyRequests).response.prerendered()
    static let tooManyConnections = Problem(HTTPRefusal.tooManyConnections).response.prerendered()

    static func response(to refusal: Refusal, at now: Instant) -> HTTPResponse {
        switch refusal {
        case .couponSoldOut: couponSoldOut
        case .couponClosed: couponClosed
        case .userNotFound: userNotFound
        case .notYours: notYours
        default: Problem(refusal, at: now).response
        }
    }

    static func response(to fault: Authentication.Fault) -> HTTPResponse {
        switch fault {
        case .missing: missingToken
        case .invalid: invalidToken
        case .expired, .premature: Problem(fault).response
        }
    }

    static func response(to refusal: HTTPRefusal) -> HTTPResponse {
        switch refusal {
        case .tooManyRequests: tooManyRequests
        case .tooManyConnections: tooManyConnections
        case .badRequest, .payloadTooLarge, .headersTooLarge, .requestTimeout, .expectationFailed, .draining, .connectNotSupported:
            Problem(refusal).response
        }
    }
}
