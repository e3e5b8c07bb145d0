internal import CSystemd

/// What systemd is told when it has started us (`Type=notify`); without it nothing happens.
public enum ServiceManager {
    /// Every part accepts work.
    public static func ready() { sd_notify(0, "READY=1") }
    public static func stopping() { sd_notify(0, "STOPPING=1") }
    /// One line for `systemctl status`.
    public static func status(_ text: String) { sd_notify(0, "STATUS=\(text)") }
    /// Puts the watchdog off: without it we are killed and started again.
    public static func alive() { sd_notify(0, "WATCHDOG=1") }
}
