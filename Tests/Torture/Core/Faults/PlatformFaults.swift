extension Fault {
    private static func behavior(_ name: String, _ behavior: DataPlatform.Behavior) -> Fault {
        Fault(
            "platform: \(name)",
            inject: { environment in
                environment.platform.set(behavior)
                try await environment.pause(milliseconds: 800...2_000)
                environment.platform.set(.usual)
            })
    }

    static let platform = [
        behavior("500 to everything", .failing), behavior("slow", .slow), behavior("takes and forgets", .forgetful),
        Fault(
            "platform: answers after two seconds",
            inject: { environment in
                environment.platform.set(.steady)
                try await environment.pause(milliseconds: 5_000...8_000)
                let posts = environment.platform.steadyPosts
                environment.platform.set(.usual)
                for (event, count) in posts where count > 1 {
                    environment.findings.add(.wrong, "event \(event) was posted \(count) times to a platform that takes each")
                }
            }),
    ]
}
