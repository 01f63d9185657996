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
    ]
}
