/// The script that tells wrk what to send and how to print what it measured.
enum WrkScript {
    /// Requests come from a file, each after a line with its length; after the last one the file is read from the start again. Several
    /// generators share a file: each begins at a request of its own and takes every request whose number is theirs modulo their count.
    ///
    /// With a total, each connection that asks for more gets an unfinished request, and so waits. Once all connections wait, every
    /// request has its answer, and the script stops wrk: exactly this many requests are sent, and all answers are counted. wrk asks for
    /// one request before it starts and discards it.
    static let text = #"""
        local ffi = require("ffi")
        ffi.cdef("int getpid(void); int kill(int pid, int sig);")

        local requests, count = {}, 0
        local total, connections, first, step = 0, 0, 0, 1
        local sent, waiting, asked = 0, 0, false

        function init(arguments)
          local file = assert(io.open(arguments[1], "rb"))
          total, connections = tonumber(arguments[2]), tonumber(arguments[3])
          first, step = tonumber(arguments[4]), tonumber(arguments[5])
          while true do
            local length = file:read("*n")
            if not length then break end
            file:read(1)
            count = count + 1
            requests[count] = file:read(length)
          end
          file:close()
        end

        function request()
          if not asked then
            asked = true
            return requests[1]
          end
          if total > 0 and sent >= total then
            waiting = waiting + 1
            if waiting >= connections then
              wrk.thread:stop()
              ffi.C.kill(ffi.C.getpid(), 2)
            end
            return "GET /healthz HTTP/1.1\r\n"
          end
          sent = sent + 1
          return requests[(first + (sent - 1) * step) % count + 1]
        end

        function done(summary, latency)
          local errors = summary.errors
          io.write(string.format("RESULT requests=%d microseconds=%d p50=%d p99=%d p999=%d refused=%d broken=%d\n",
            summary.requests, summary.duration, latency:percentile(50), latency:percentile(99), latency:percentile(99.9),
            errors.status, errors.connect + errors.read + errors.write + errors.timeout))
        end
        """#
}
