//! `mprism top` in a real terminal: tmux has one of any size, types keys, and tells what is on it.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::picture;
use crate::schemas::check;
use crate::support::Home;

/// A terminal with the dashboard on it. The server is this test's own and ends with it.
struct Terminal {
    folder: PathBuf,
}

impl Terminal {
    /// Starts the dashboard in a terminal, or says that there is no tmux.
    fn with(home: &Home, (width, height): (u16, u16), environment: &[(&str, &str)]) -> Option<Self> {
        let terminal = Self {
            folder: home.beside().to_path_buf(),
        };
        // Of the terminal before this one.
        let _none = std::fs::remove_file(terminal.exit_code_file());
        // All of the terminal is the dashboard's, and the server stays when the dashboard has ended.
        let settings = "set-option -g status off\nset-option -g remain-on-exit on\n";
        std::fs::write(terminal.folder.join("tmux.conf"), settings).expect("written");
        if let Err(error) = Command::new("tmux").arg("-V").output() {
            mprism_testkit::absent("tmux", &format!("no tmux: {error}"));
            return None;
        }
        let top = home.command(&["top", "--interval", "300ms"]);
        let mut start = terminal.command();
        start.env_clear();
        start.envs(top.get_envs().filter_map(|(name, value)| Some((name, value?))));
        start
            .envs(environment.iter().copied())
            .env("LANG", "C.UTF-8")
            .env("TMUX_TMPDIR", &terminal.folder);
        let (width, height) = (width.to_string(), height.to_string());
        start.args(["new-session", "-d", "-s", "top", "-x", &width, "-y", &height]);
        // tmux 3.3a now and then never reaps what ended in it, so how the dashboard ended is the shell's to tell.
        let told = "code=$1; shift; \"$@\"; echo $? >\"$code.new\"; mv \"$code.new\" \"$code\"";
        start.args(["sh", "-c", told, "sh"]).arg(terminal.exit_code_file());
        start.arg(top.get_program()).args(top.get_args());
        let started = start.output().expect("tmux runs");
        assert!(started.status.success(), "{started:?}");
        Some(terminal)
    }

    fn command(&self) -> Command {
        let mut command = Command::new("tmux");
        command
            .args(["-u", "-L", "mprism-test", "-f"])
            .arg(self.folder.join("tmux.conf"));
        command.env("TMUX_TMPDIR", &self.folder).env_remove("TMUX");
        command
    }

    fn run(&self, arguments: &[&str]) -> Output {
        self.command().args(arguments).output().expect("tmux runs")
    }

    fn press(&self, key: &str) {
        let pressed = self.run(&["send-keys", "-t", "top", key]);
        assert!(pressed.status.success(), "{pressed:?}");
    }

    fn resize(&self, width: u16, height: u16) {
        let resized = self.run(&[
            "resize-window",
            "-t",
            "top",
            "-x",
            &width.to_string(),
            "-y",
            &height.to_string(),
        ]);
        assert!(resized.status.success(), "{resized:?}");
    }

    /// Returns what is on the screen; with `-e` as it is coloured.
    fn screen(&self, options: &[&str]) -> String {
        let captured = self.run(&[&["capture-pane", "-p", "-t", "top"][..], options].concat());
        String::from_utf8_lossy(&captured.stdout).into_owned()
    }

    fn exit_code_file(&self) -> PathBuf {
        self.folder.join("exit-code")
    }

    /// Returns the dashboard's exit code, once it has ended.
    fn exit_code(&self) -> Result<String, String> {
        match std::fs::read_to_string(self.exit_code_file()) {
            Ok(code) => Ok(code.trim().to_owned()),
            Err(error) => Err(format!("{error}; on the screen:\n{}", self.screen(&[]))),
        }
    }

    /// Waits until the screen shows all of these.
    async fn shows(&self, home: &Home, told: &[&str]) -> String {
        home.until(&format!("the screen shows {told:?}"), || {
            let screen = self.screen(&[]);
            match told.iter().find(|text| !screen.contains(**text)) {
                None => Ok(screen),
                Some(text) => Err(format!("no {text:?} in\n{screen}")),
            }
        })
        .await
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // Only this test's server has this socket.
        let _ended = self.run(&["kill-server"]);
    }
}

const TYPES: [&str; 8] = [
    "orderbook",
    "trade",
    "funding_rate",
    "open_interest",
    "liquidation",
    "lsr_top_position",
    "lsr_all_account",
    "volatility_index",
];

#[tokio::test]
async fn the_dashboard_shows_a_running_home_at_both_sizes_and_hears_keys() {
    let home = Home::whole();
    home.configure("supervisor: {ready_timeout: 2m}\n");
    home.good(&["start", "--sim", "--sim-rate", "2000"]);
    home.flows().await;

    // For programs: a document an interval, with rates from the first one on.
    home.until("every exchange has spoken", || {
        let line = home
            .run(&["top", "--json", "--count", "1", "--interval", "200ms"])
            .stdout;
        match line.matches("\"connected\":true").count() {
            5 => Ok(()),
            _ => Err(line),
        }
    })
    .await;
    let lines = home.run(&["top", "--json", "--count", "2", "--interval", "300ms"]);
    assert_eq!(lines.code, 0, "{lines:?}");
    let documents: Vec<serde_json::Value> = lines.stdout.lines().map(|line| check("top", 0, line)).collect();
    assert_eq!(documents.len(), 2);
    for document in &documents {
        assert_eq!(document["services"].as_array().map(Vec::len), Some(6), "{document}");
        assert!(document["rows_per_s"].is_number(), "{document}");
        assert_eq!(document["flow"].as_array().map(Vec::len), Some(8), "{document}");
    }
    let refused = home.run(&["top"]);
    assert_eq!(refused.code, 2, "{refused:?}");
    assert!(refused.stderr.contains("mprism top --json"), "{refused:?}");

    let Some(terminal) = Terminal::with(&home, (80, 24), &[]) else {
        return;
    };
    let healthy = [
        &["mprism top", "UTC", "running", "█", "p50", "exchanges 5 of 5 connected"][..],
        &TYPES,
    ]
    .concat();
    let small = terminal.shows(&home, &healthy).await;
    for service in ["sim", "nats", "clickhouse", "hot", "collector", "cold"] {
        assert!(small.contains(&format!("{service} ")), "{service}:\n{small}");
    }
    assert!(
        small.lines().next_back().is_some_and(|line| line.contains("q quit")),
        "{small}"
    );
    draw(&terminal, "top-80x24");
    terminal.press("?");
    terminal.shows(&home, &["hold what is shown"]).await;
    terminal.press("Escape");
    terminal.press("p");
    terminal.press("s");
    terminal.shows(&home, &["PAUSED", "busiest first"]).await;
    terminal.press("p");
    terminal.resize(160, 50);
    let large = [
        &[
            "┌ streams",
            "┌ exchanges",
            "ORDERBOOK_SNAP",
            "deribit_derivatives",
            "┌ last errors",
        ][..],
        &TYPES,
    ]
    .concat();
    terminal.shows(&home, &large).await;
    draw(&terminal, "top-160x50");
    let green = picture::of(&terminal.screen(&["-e"]));
    assert!(green.contains(picture::GREEN), "what is well is green");
    // What happens shows.
    home.good(&["stop", "cold"]);
    terminal.shows(&home, &["stopped"]).await;
    terminal.press("q");
    let ended = home.until("q ends it", || terminal.exit_code()).await;
    assert_eq!(ended, "0");
    drop(terminal);

    let Some(plain) = Terminal::with(&home, (80, 24), &[("NO_COLOR", "1")]) else {
        return;
    };
    plain.shows(&home, &["mprism top", "p50"]).await;
    let drawn = picture::of(&plain.screen(&["-e"]));
    assert!(picture::COLORS.iter().all(|color| !drawn.contains(color)), "{drawn}");
    plain.press("C-c");
    let ended = home.until("Ctrl-C ends it", || plain.exit_code()).await;
    assert_eq!(ended, "130");
}

/// Draws what is on the terminal for the documents, where that is asked for.
fn draw(terminal: &Terminal, name: &str) {
    if std::env::var_os("MPRISM_WRITE_PICTURES").is_none() {
        return;
    }
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("docs/{name}.svg"));
    let drawn = picture::of(&terminal.screen(&["-e"]));
    std::fs::write(&file, drawn).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
}
