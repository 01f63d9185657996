extension Fault {
    private static func mood(_ name: String, _ mood: DataPlatform.Mood) -> Fault {
        Fault(
            "platform: \(name)",
            strike: { world in
                world.platform.set(mood)
                try await world.pause(milliseconds: 800...2_000)
                world.platform.set(.usual)
            })
    }

    static let platform = [
        mood("500 to everything", .failing), mood("slow", .slow), mood("takes and forgets", .forgetful),
        Fault(
            "platform: answers after two seconds",
            strike: { world in
                world.platform.set(.steady)
                try await world.pause(milliseconds: 5_000...8_000)
                let posts = world.platform.steadyPosts
                world.platform.set(.usual)
                for (event, count) in posts where count > 1 {
                    world.findings.add(.wrong, "event \(event) was posted \(count) times to a platform that takes each")
                }
            }),
    ]
}
