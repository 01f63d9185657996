import NIOCore

/// What the kernel knows of a connection, and neither its channel nor its event loop can see: Linux' `tcp_info` (`linux/tcp.h`).
///
/// Each function answers nil for a unix socket and on other systems. Call it on the channel's loop.
enum SocketInfo {
    /// The beginning of `tcp_info`: 8 bytes of small numbers, 24 32-bit words, then 64-bit words.
    private struct TCPInfo: Sendable {
        var words = InlineArray<32, UInt32>(repeating: 0)

        /// `tcpi_last_data_recv`, the milliseconds since the kernel last received data.
        var millisecondsSinceData: UInt32 { words[13] }
        /// `tcpi_bytes_acked`, since Linux 4.1; an older kernel leaves it at zero.
        var acknowledgedBytes: UInt64 {
            let (first, second) = (UInt64(words[30]), UInt64(words[31]))
            #if _endian(little)
            return first | second << 32
            #else
            return first << 32 | second
            #endif
        }
    }

    private static func info(of channel: any Channel) -> TCPInfo? {
        #if os(Linux)
        guard let provider = channel as? any SocketOptionProvider else { return nil }
        var found: TCPInfo?
        let info: EventLoopFuture<TCPInfo> = provider.unsafeGetSocketOption(level: .tcp, name: .tcp_info)
        // Called at once, because the option is read on this loop.
        info.assumeIsolated().whenSuccess { found = $0 }
        return found
        #else
        return nil
        #endif
    }

    /// Milliseconds since the kernel received the last data of a connection, in the steps of the kernel's clock (1 to 10 ms). Read when
    /// the data was just read, it says how long the bytes have waited: the queue in front of an event loop.
    static func millisecondsSinceData(of channel: any Channel) -> Int32? {
        info(of: channel).map { Int32(clamping: $0.millisecondsSinceData) }
    }

    /// Bytes that the client has acknowledged since the connection began. They rise as long as it reads: a client that does not is sent
    /// no more than its receive buffer holds.
    static func acknowledgedBytes(of channel: any Channel) -> Int? {
        info(of: channel).map { Int(clamping: $0.acknowledgedBytes) }
    }
}
