//! A configuration written out as TOML that explains itself.

use std::fmt::Write;

use super::Config;

/// Width of a comment, without its `# `.
const WIDTH: usize = 96;

pub(super) fn render(config: &Config) -> String {
    let mut out = String::new();
    comment(
        &mut out,
        "Configuration of wharf-gateway. It is read once, at start; apps are in a file of their \
         own. Each key can also be set in the environment: WHARF_GATEWAY__LIMITS__CONNECTIONS_MAX=5000 \
         sets limits.connections_max. Sizes are in B, KiB or MiB, times in ms, s, m, h or d.",
    );
    out.push('\n');
    let entry = |out: &mut String, doc: &str, key: &str, value: &dyn ToToml| {
        comment(out, doc);
        let _ = writeln!(out, "{key} = {}", value.to_toml());
    };
    entry(&mut out, "Where clients connect: one address or a list.", "listen", &config.listen.0);
    entry(
        &mut out,
        "Where /healthz, /readyz and /metrics are served; not for clients.",
        "admin_listen",
        &config.admin_listen,
    );
    entry(
        &mut out,
        "The file of apps, read again on SIGHUP; relative to the folder in which the gateway starts.",
        "apps",
        &config.apps.to_string_lossy().as_ref(),
    );
    entry(&mut out, "Threads that serve clients; 0: one for each core.", "shards", &config.shards);
    entry(
        &mut out,
        "Proxies whose X-Forwarded-For is believed, as addresses or CIDR blocks; of all others it \
         is ignored.",
        "trusted_proxies",
        &config.trusted_proxies,
    );
    entry(
        &mut out,
        "Entries of X-Forwarded-For that are looked at, from the right. From 1 to 32.",
        "forwarded_hops_max",
        &config.forwarded_hops_max,
    );
    entry(
        &mut out,
        "Whether clients may be served without TLS on an address that is not loopback: only where \
         something in front of the gateway ends TLS.",
        "allow_insecure",
        &config.allow_insecure,
    );
    tls(&mut out, config);
    let _ = writeln!(out, "\n[log]");
    entry(
        &mut out,
        "auto (pretty on a terminal, else json), pretty or json.",
        "format",
        &config.log.format.word(),
    );
    let about = "error, warn, info, debug or trace, or by target: info,gateway=debug. RUST_LOG \
                 overrides it.";
    entry(&mut out, about, "level", &config.log.level);
    entry(&mut out, "stdout or stderr.", "output", &config.log.output.word());
    let _ = writeln!(out, "\n[shutdown]");
    entry(
        &mut out,
        "Over how long connections are closed after SIGTERM. Up to 1h; 0s: all at once.",
        "window",
        &config.shutdown.window.to_string(),
    );
    let _ = writeln!(out, "\n[limits]");
    config.limits.write(&mut out);
    out
}

fn tls(out: &mut String, config: &Config) {
    let _ = writeln!(out, "\n[tls]");
    comment(
        out,
        "PEM files; with both, every address in `listen` speaks TLS 1.2 and 1.3 and nothing else.",
    );
    let files = [
        ("certificate", &config.tls.certificate, "/etc/wharf/tls.crt"),
        ("key", &config.tls.key, "/etc/wharf/tls.key"),
    ];
    for (key, file, example) in files {
        let _ = match file {
            Some(path) => writeln!(out, "{key} = {}", path.to_string_lossy().as_ref().to_toml()),
            None => writeln!(out, "# {key} = {}", example.to_toml()),
        };
    }
}

/// `text` as comment lines.
pub(crate) fn comment(out: &mut String, text: &str) {
    let mut line = String::new();
    for word in text.split_whitespace() {
        if !line.is_empty() && line.len() + 1 + word.len() > WIDTH {
            let _ = writeln!(out, "# {line}");
            line.clear();
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    let _ = writeln!(out, "# {line}");
}

trait ToToml {
    fn to_toml(&self) -> String;
}

impl ToToml for &str {
    fn to_toml(&self) -> String {
        toml::Value::String(String::from(*self)).to_string()
    }
}

impl ToToml for String {
    fn to_toml(&self) -> String {
        self.as_str().to_toml()
    }
}

impl ToToml for usize {
    fn to_toml(&self) -> String {
        self.to_string()
    }
}

impl ToToml for bool {
    fn to_toml(&self) -> String {
        self.to_string()
    }
}

impl ToToml for Vec<String> {
    fn to_toml(&self) -> String {
        let items: Vec<String> = self.iter().map(ToToml::to_toml).collect();
        format!("[{}]", items.join(", "))
    }
}
