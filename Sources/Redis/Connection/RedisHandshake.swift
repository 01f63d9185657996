/// One command of the handshake and what its reply has to be. All commands of the handshake are sent in one write.
struct RedisHandshakeStep: Equatable {
    enum Purpose: Equatable {
        /// Sentinels may know neither the user nor the password; one that asks for them refuses the next command.
        case authenticate(isOptional: Bool)
        case selectDatabase
        case nameClient
        case checkRole
        case load(RedisScript)
        /// In a cluster, the node that holds the admission's keys decides, and the other nodes name it.
        case admit(RedisAdmission, mayBeElsewhere: Bool)
        /// Checks that the server serves commands: the other steps are optional, or may fail.
        case ping
    }

    let purpose: Purpose
    let command: RedisCommand

    static func steps(for configuration: RedisConfiguration) -> [RedisHandshakeStep] {
        let endpoint = configuration.endpoint
        var steps: [RedisHandshakeStep] = []
        if let password = endpoint.password {
            let credentials: [RedisArgument] = endpoint.user.map { [.string($0), .string(password)] } ?? [.string(password)]
            let purpose = Purpose.authenticate(isOptional: configuration.role == .sentinel)
            steps.append(RedisHandshakeStep(purpose: purpose, command: RedisCommand(words: ["AUTH"] + credentials)))
        }
        if endpoint.database != 0 {
            let command = RedisCommand("SELECT", RedisArgument(endpoint.database))
            steps.append(RedisHandshakeStep(purpose: .selectDatabase, command: command))
        }
        let name = RedisCommand("CLIENT", "SETNAME", .string(configuration.clientName))
        steps.append(RedisHandshakeStep(purpose: .nameClient, command: name))
        if configuration.requiresPrimary { steps.append(RedisHandshakeStep(purpose: .checkRole, command: RedisCommand("ROLE"))) }
        for script in configuration.scripts {
            let command = RedisCommand("SCRIPT", "LOAD", .string(script.source))
            steps.append(RedisHandshakeStep(purpose: .load(script), command: command))
        }
        if let admission = configuration.admission {
            steps.append(
                RedisHandshakeStep(
                    purpose: .admit(admission, mayBeElsewhere: configuration.role == .clusterNode), command: admission.command))
        }
        steps.append(RedisHandshakeStep(purpose: .ping, command: RedisCommand("PING")))
        return steps
    }

    /// Why the connection cannot be used after this reply, or nil where it can.
    func failure(given reply: RedisValue) -> RedisError? {
        if case .error(let error) = reply {
            switch (purpose, error.kind) {
            // The name only helps readers of CLIENT LIST, and some users may not set one.
            case (.nameClient, .notPermitted), (.nameClient, .other): return nil
            // A server that cannot persist refuses writes, and PING so that monitors notice; it still answers reads.
            case (.ping, .cannotPersist): return nil
            case (.load(let script), .other):
                return RedisError(.misconfigured, "the server refuses the script \(script.name): \(error.message)")
            // The user may not run ROLE, or the server does not know it, so this may be a replica. It is refused: claims would be
            // refused for good on a replica's stale data, while an operator grants ROLE with one line.
            case (.checkRole, .notPermitted), (.checkRole, .other):
                return RedisError(.notPrimary, "it does not say whether it is a replica: ROLE answers \(error.message)")
            case (.admit(_, mayBeElsewhere: true), .moved): return nil
            case (.authenticate(isOptional: true), _): return nil
            case (.authenticate, _): return RedisError(.server(error.kind), "the server refuses the user or the password")
            default: return RedisError(error)
            }
        }
        switch purpose {
        case .checkRole where reply.array?.first?.string != "master":
            let role = reply.array?.first?.string
            return RedisError(.notPrimary, role == "slave" ? "it is a replica" : "it is no primary: its role is \(role ?? "unknown")")
        case .load(let script) where reply.string != script.sha1:
            return RedisError(.protocolViolation, "the server computed another digest for the script \(script.name)")
        case .admit(let admission, _): return admission.error(given: reply)
        case .authenticate, .selectDatabase, .nameClient, .checkRole, .load, .ping: return nil
        }
    }
}
