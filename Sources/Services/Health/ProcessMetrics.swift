import Glibc

/// What Prometheus' client libraries report of every process, by the same names, read from the kernel at each scrape.
enum ProcessMetrics {
    static func all() -> [Metric] {
        let memory = memoryBytes
        return [
            Metric("process_cpu_seconds_total", .counter, "User and system CPU time of this process.", seconds: cpuSeconds),
            Metric("process_resident_memory_bytes", .gauge, "Memory of this process that is in RAM.", memory?.resident),
            Metric("process_virtual_memory_bytes", .gauge, "Address space of this process.", memory?.virtual),
            Metric("process_open_fds", .gauge, "Descriptors that are open.", openDescriptors),
            Metric("process_max_fds", .gauge, "Descriptors that may be open (ulimit -n).", descriptorLimit),
            Metric(
                "process_start_time_seconds", .gauge, "When this process was started, in seconds since 1970.", seconds: startTime),
        ]
    }

    private static var cpuSeconds: Double? {
        var usage = rusage()
        guard getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage) == 0 else { return nil }
        func microseconds(_ time: timeval) -> Int { time.tv_sec * 1_000_000 + Int(time.tv_usec) }
        return Double(microseconds(usage.ru_utime) + microseconds(usage.ru_stime)) / 1e6
    }

    /// From /proc/self/statm (proc_pid_statm(5)), whose first two numbers are pages.
    private static var memoryBytes: (virtual: Int, resident: Int)? {
        let pages = numbers(of: "/proc/self/statm")
        guard pages.count >= 2 else { return nil }
        let pageBytes = sysconf(Int32(_SC_PAGESIZE))
        return (pages[0] * pageBytes, pages[1] * pageBytes)
    }

    private static var openDescriptors: Int? {
        var status = stat()
        // Since Linux 6.2 the size of this folder is the number of descriptors. Before, it is 0, and the entries have to be counted.
        if stat("/proc/self/fd", &status) == 0, status.st_size > 0 { return Int(status.st_size) }
        guard let folder = opendir("/proc/self/fd") else { return nil }
        defer { closedir(folder) }
        var count = 0
        while let entry = readdir(folder) {
            if entry.pointee.d_name.0 != UInt8(ascii: ".") { count += 1 }
        }
        // Without the folder's own descriptor.
        return count - 1
    }

    private static var descriptorLimit: Int? {
        var limit = rlimit()
        guard getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 else { return nil }
        return Int(clamping: limit.rlim_cur)
    }

    /// Computed once: the wall clock less the age of the process, which is counted in the clock's ticks since the machine's start.
    private static let startTime: Double? = {
        // "pid (name) state ...": the start is the 22nd field (proc_pid_stat(5)), and the name may hold spaces.
        guard let text = text(of: "/proc/self/stat"), let end = text.lastIndex(of: UInt8(ascii: ")")) else { return nil }
        let fields = text[text.index(after: end)...].split(separator: UInt8(ascii: " "))
        guard fields.count > 19, let ticks = Double(String(decoding: fields[19], as: UTF8.self)) else { return nil }
        var (now, sinceBoot) = (timespec(), timespec())
        guard clock_gettime(CLOCK_REALTIME, &now) == 0, clock_gettime(CLOCK_BOOTTIME, &sinceBoot) == 0 else { return nil }
        func seconds(_ time: timespec) -> Double { Double(time.tv_sec) + Double(time.tv_nsec) / 1e9 }
        return seconds(now) - (seconds(sinceBoot) - ticks / Double(sysconf(Int32(_SC_CLK_TCK))))
    }()

    private static func numbers(of path: String) -> [Int] {
        (text(of: path) ?? []).split(separator: UInt8(ascii: " ")).compactMap { Int(String(decoding: $0, as: UTF8.self)) }
    }

    /// The content of a short file of /proc; nil where it cannot be opened, for example for want of a descriptor.
    private static func text(of path: String) -> [UInt8]? {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return nil }
        defer { close(descriptor) }
        let text = [UInt8](unsafeUninitializedCapacity: 1_024) { buffer, count in
            count = max(0, read(descriptor, buffer.baseAddress, buffer.count))
        }
        return text.isEmpty ? nil : text
    }
}
