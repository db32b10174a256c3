//! Signals, sent to this very process and to a child.

use std::process::{Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal as Unix, getpid, kill_process};

use super::*;

const CHILD: &str = "RUNTIME_TEST_SIGNALS_CHILD";

#[tokio::test]
async fn hangup_reloads_and_terminate_stops() {
    let mut signals = Signals::new().expect("signals");
    for (sent, expected) in [(Unix::HUP, Signal::Reload), (Unix::TERM, Signal::Stop)] {
        kill_process(getpid(), sent).expect("a signal to ourselves");
        let next = tokio::time::timeout(Duration::from_secs(5), signals.next());
        assert_eq!(next.await.expect("the signal arrives"), expected);
    }
}

/// Not a test of its own: what the next one runs as another process.
#[tokio::test]
async fn child_that_never_finishes_its_drain() {
    if std::env::var_os(CHILD).is_none() {
        return;
    }
    let mut signals = Signals::new().expect("signals");
    kill_process(getpid(), Unix::TERM).expect("a signal to ourselves");
    assert_eq!(signals.next().await, Signal::Stop);
    kill_process(getpid(), Unix::INT).expect("a signal to ourselves");
    tokio::time::sleep(Duration::from_secs(20)).await;
}

#[tokio::test]
async fn a_second_request_to_stop_ends_the_process_at_once() {
    let mut child = Command::new(std::env::current_exe().expect("this test's path"))
        .args(["--exact", "shutdown::tests::child_that_never_finishes_its_drain"])
        .env(CHILD, "1")
        .stdout(Stdio::null())
        .spawn()
        .expect("the child starts");
    let ended = tokio::time::timeout(Duration::from_secs(10), async {
        loop {
            if let Some(status) = child.try_wait().expect("the child can be waited for") {
                return status;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
    if ended.is_err() {
        let _ = kill_process(Pid::from_child(&child), Unix::KILL);
    }
    assert_eq!(ended.expect("the child ends before its drain").code(), Some(130));
}
