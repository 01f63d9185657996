import NIOCore

/// Measures how long bytes have waited in a socket before they were read: the queue in front of an event loop, which neither the loop nor
/// its timers can see.
enum SocketWait {
    /// The beginning of Linux' `tcp_info`: 8 bytes of small numbers, then 32-bit words.
    private struct TCPInfo: Sendable {
        var words = InlineArray<26, UInt32>(repeating: 0)

        /// `tcpi_last_data_recv`, the milliseconds since the kernel last received data.
        var millisecondsSinceData: UInt32 { words[13] }
    }

    /// Milliseconds since the kernel received the last data of a connection, in the steps of the kernel's clock (1 to 10 ms). Nil for a
    /// unix socket and on other systems. Call it on the channel's loop, when its data was just read.
    static func milliseconds(of channel: any Channel) -> Int32? {
        #if os(Linux)
        guard let provider = channel as? any SocketOptionProvider else { return nil }
        var milliseconds: Int32?
        let info: EventLoopFuture<TCPInfo> = provider.unsafeGetSocketOption(level: .tcp, name: .tcp_info)
        // Called at once, because the option is read on this loop.
        info.assumeIsolated().whenSuccess { milliseconds = Int32(clamping: $0.millisecondsSinceData) }
        return milliseconds
        #else
        return nil
        #endif
    }
}
