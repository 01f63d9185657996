import Commerce
import HTTPServer
import JSON
import Store

/// The handlers by which operators list events for the data platform and retry parked ones.
enum Events {
    static let list: Route.IdentityHandler = { call, _ in
        .cancellableTask {
            let (state, request) = try call.query { ($0.choice("state", of: EventState.self), $0.page()) }
            let page = try await call.store.events(state: state?.delivery, page: request)
            return .page(page, .personal) { $0.write($1) }
        }
    }

    static let retry: Route.IdentityHandler = { call, admin in
        .task {
            let id = try call.id("eventId", of: OrderEvent.self)
            try call.ignoreBody()
            let log = call.adminLog(of: admin, AdminActions.retriedEvent)
            switch try await call.store.retryParked(id, at: call.now, log: log, context: call.loop.context) {
            case .done(let record): return .object(.personal) { $0.write(record) }
            case .refused(let refusal): return call.refusal(refusal)
            }
        }
    }

    /// Retries every parked event. Small transactions set them to waiting, so that no other write has to wait for all of them.
    static let retryAll: Route.IdentityHandler = { call, admin in
        .task {
            try call.ignoreBody()
            let log = call.adminLog(of: admin, AdminActions.retriedEvents)
            let retried = try await call.store.retryAllParked(at: call.now, log: log, context: call.loop.context)
            return .object(.personal) { $0.member("retried", Int64(retried)) }
        }
    }
}

/// How far the delivery of an event is, as in `openapi.json`.
enum EventState: String, CaseIterable, Sendable {
    case waiting
    case delivered
    case parked

    init(_ delivery: OrderEvent.Delivery) {
        switch delivery {
        case .waiting: self = .waiting
        case .delivered: self = .delivered
        case .parked: self = .parked
        }
    }

    var delivery: OrderEvent.Delivery {
        switch self {
        case .waiting: .waiting
        case .delivered: .delivered
        case .parked: .parked
        }
    }
}
