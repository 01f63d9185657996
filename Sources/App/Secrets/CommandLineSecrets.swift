import Glibc

/// Secrets among the arguments of the process. Every account of the machine can read the arguments of every process, by `ps` for one.
package struct CommandLineSecrets: Sendable {
    /// What is said about each, without the secret.
    package private(set) var warnings: [String] = []
    /// Where each one is: the number of the argument, and the bytes of it.
    private var places: [(argument: Int, bytes: Range<Int>)] = []

    /// - Parameter arguments: with the program's name as the first.
    package init(in arguments: [String]) {
        for (number, argument) in arguments.enumerated().dropFirst() {
            guard let (flag, start) = Self.flag(of: argument, after: arguments[number - 1]) else { continue }
            let value = Array(argument.utf8)[start...]
            if flag == "--data-platform-secret" {
                add(number, value.indices, "\(flag) is visible to every account of this machine; use --data-platform-secret-file")
            } else {
                let passwords = [Self.password(inURL: value)] + (flag == "--store" ? Self.passwordOptions(inURL: value) : [])
                for password in passwords.compactMap(\.self) {
                    add(
                        number, password,
                        "the password in \(flag) is visible to every account of this machine; \(Self.remedy(flag)) instead")
                }
            }
        }
    }

    private mutating func add(_ argument: Int, _ bytes: Range<Int>, _ warning: String) {
        guard !bytes.isEmpty else { return }
        places.append((argument, bytes))
        warnings.append(warning)
    }

    /// The flag whose value an argument holds, as `--flag=value` or after `--flag`, and where in the argument the value begins.
    private static func flag(of argument: String, after previous: String) -> (String, Int)? {
        let flags = ["--data-platform-secret", "--redis", "--store", "--data-platform"]
        if flags.contains(previous) { return (previous, 0) }
        return flags.first { argument.hasPrefix("\($0)=") }.map { ($0, $0.utf8.count + 1) }
    }

    private static func remedy(_ flag: String) -> String {
        switch flag {
        case "--redis", "--store": "use \(flag)-password-file"
        default: "set \(EnvironmentFlags.variable(String(flag.dropFirst(2))))"
        }
    }

    /// The bytes of the values of `password` among the options of a URL, as libpq takes them.
    private static func passwordOptions(inURL url: ArraySlice<UInt8>) -> [Range<Int>] {
        guard let mark = url.firstIndex(of: UInt8(ascii: "?")) else { return [] }
        return url[(mark + 1)...].split(separator: UInt8(ascii: "&")).compactMap { option in
            guard option.starts(with: Array("password=".utf8)) else { return nil }
            return option.startIndex + "password=".utf8.count..<option.endIndex
        }
    }

    /// The bytes of the password in `scheme://user:password@host`.
    private static func password(inURL url: ArraySlice<UInt8>) -> Range<Int>? {
        guard let scheme = url.firstRange(of: Array("://".utf8)) else { return nil }
        let authority = url[scheme.upperBound...].prefix { $0 != UInt8(ascii: "/") && $0 != UInt8(ascii: "?") }
        guard let at = authority.lastIndex(of: UInt8(ascii: "@")), let colon = authority[..<at].firstIndex(of: UInt8(ascii: ":")) else {
            return nil
        }
        return colon + 1..<at
    }

    /// Overwrites the secrets in the memory from which the kernel answers who asks for this process' arguments, so that `ps` no longer
    /// shows them. They were visible until now; the warnings stay true.
    package func hide() {
        guard !places.isEmpty, let memory = Self.argumentMemory() else { return }
        var start = memory.startIndex
        var number = 0
        while start < memory.endIndex {
            let end = memory[start...].firstIndex(of: 0) ?? memory.endIndex
            for place in places where place.argument == number && start + place.bytes.upperBound <= end {
                for offset in place.bytes { memory[start + offset] = UInt8(ascii: "*") }
            }
            (start, number) = (end + 1, number + 1)
        }
    }

    /// The arguments as the kernel has put them into this process' memory, each with a final NUL.
    private static func argumentMemory() -> UnsafeMutableBufferPointer<UInt8>? {
        guard let file = fopen("/proc/self/stat", "re") else { return nil }
        defer { fclose(file) }
        var buffer = [CChar](repeating: 0, count: 4_096)
        let count = fread(&buffer, 1, buffer.count, file)
        let text = String(decoding: buffer[..<count].map(UInt8.init(bitPattern:)), as: UTF8.self)
        // "pid (name) state ...": the name may contain any character, so fields are counted from the last parenthesis, where the third
        // one begins. arg_start and arg_end are the 48th and 49th (proc_pid_stat(5)).
        let fields = text[(text.lastIndex(of: ")") ?? text.startIndex)...].dropFirst(2).split(separator: " ")
        guard fields.count > 46, let start = UInt(fields[45]), let end = UInt(fields[46]), start > 0, end > start else { return nil }
        return UnsafeMutableBufferPointer(start: UnsafeMutablePointer(bitPattern: start), count: Int(end - start))
    }
}
