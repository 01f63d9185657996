/// The version of this program, which `--version` prints. The packages take it from this file.
package enum FirstcomeVersion {
    package static let text = "1.0.0"
}
