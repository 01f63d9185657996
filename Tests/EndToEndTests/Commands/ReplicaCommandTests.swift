import TestSupport
import Testing

extension EndToEnd {
    @Suite("The commands on a replica")
    struct ReplicaCommandTests {}
}

extension EndToEnd.ReplicaCommandTests {
    @Test("every command that needs Redis ends with one line that says that it is a replica")
    func replica() async throws {
        try await withDataFolder { folder in
            try await withTemporaryRedis(onTCP: true) { primary in
                try await withTemporaryRedis(arguments: ["--replicaof", "127.0.0.1", "\(primary.port ?? 0)"]) { replica in
                    for command in [["serve", "--port", "0"], ["audit"], ["ranking", "show"], ["ranking", "rebuild"]] {
                        let output = try await Tool.run(command + ["--data", folder, "--redis", replica.url])
                        #expect(output.status != 0, "\(command)")
                        #expect(output.complaint.count == 1, "\(command): \(output.standardError)")
                        #expect(output.complaint.first?.hasSuffix("cannot be used: it is a replica") == true, "\(command)")
                    }
                }
            }
        }
    }
}
