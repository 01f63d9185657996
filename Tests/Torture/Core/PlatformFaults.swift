extension Fault {
    private static func mood(_ name: String, _ mood: DataPlatform.Mood) -> Fault {
        Fault(
            "platform: \(name)",
            strike: { environment in
                environment.platform.set(mood)
                try await environment.pause(milliseconds: 800...2_000)
                environment.platform.set(.usual)
            })
    }

    static let platform = [
        mood("500 to everything", .failing), mood("slow", .slow), mood("takes and forgets", .forgetful),
        Fault(
            "platform: answers after two seconds",
            strike: { environment in
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
