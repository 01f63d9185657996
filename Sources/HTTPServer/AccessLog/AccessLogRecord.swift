import TraceContext

/// The fixed part of one request in a chunk, before its texts. A loop writes it, the writer makes a line of it.
struct AccessLogRecord: BitwiseCopyable {
    /// Bytes of this part and the texts, rounded up so that the next record is aligned.
    var byteCount: UInt32 = 0
    /// With `connection`, the id that was made for the request.
    var number: UInt32 = 0
    var connection: UInt64 = 0
    /// When the last byte of the request was read, in nanoseconds of the system's monotonic clock.
    var receivedAt: UInt64 = 0
    var nanoseconds: Int64 = 0
    var answerBytes: Int64 = 0
    /// The user who sent the request; 0 for none.
    var user: Int64 = 0
    /// 0 where the request got no answer.
    var status: UInt16 = 0
    /// -1 for none.
    var route: Int16 = -1
    var flags: Flags = []
    var methodByteCount: UInt8 = 0
    var pathByteCount: UInt16 = 0
    var agentByteCount: UInt16 = 0
    var givenIDByteCount: UInt8 = 0
    var subjectByteCount: UInt8 = 0
    var traceByteCount: UInt8 = 0
    var addressByteCount: UInt8 = 0

    struct Flags: OptionSet, BitwiseCopyable {
        let rawValue: UInt8
        /// The head was read, so method, path and version are known.
        static let hasHead = Flags(rawValue: 1)
        static let isHTTP10 = Flags(rawValue: 2)
        static let isAdmin = Flags(rawValue: 4)
        static let pathIsCut = Flags(rawValue: 8)
        static let hasPath = Flags(rawValue: 16)
        /// The connection ended before the answer, which was a stream.
        static let isIncomplete = Flags(rawValue: 32)
    }

    /// What is kept of longer texts, so that hostile requests cannot fill the log.
    static let longestMethod = 32
    static let longestPath = 1024
    static let longestAgent = 256
    static let longestSubject = 255
    static let longestAddress = 128

    /// The longest record: what a chunk must have room for.
    static let maximumByteCount =
        MemoryLayout<AccessLogRecord>.size + longestMethod + longestPath + longestAgent + longestSubject + longestAddress
        + GivenRequestID.maximumByteCount + (TraceParent.byteCount + 1) + 8
}
