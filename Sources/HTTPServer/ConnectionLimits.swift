import NIOCore

/// The numbers of a configuration that every request looks at: plain values, so that reading one retains nothing.
struct ConnectionLimits: Sendable {
    let maximumRequestsInFlight: Int
    let maximumPipelinedRequests: Int
    let maximumBodyBytes: Int
    let maximumHeaderBytes: Int
    let idleTimeout: TimeAmount
    let headTimeout: TimeAmount
    let bodyTimeout: TimeAmount
    let writeTimeout: TimeAmount
    let lingerTimeout: TimeAmount
    let writeHighWaterMark: Int

    init(_ configuration: HTTPServerConfiguration) {
        maximumRequestsInFlight = configuration.maximumRequestsInFlight
        maximumPipelinedRequests = configuration.maximumPipelinedRequests
        maximumBodyBytes = configuration.maximumBodyBytes
        maximumHeaderBytes = configuration.maximumHeaderBytes
        idleTimeout = configuration.idleTimeout
        headTimeout = configuration.headTimeout
        bodyTimeout = configuration.bodyTimeout
        writeTimeout = configuration.writeTimeout
        lingerTimeout = configuration.lingerTimeout
        writeHighWaterMark = configuration.writeHighWaterMark
    }
}
