//! Tasks end when asked, and are dropped when they do not.

use std::future::pending;
use std::sync::mpsc;
use std::time::Duration;

use super::*;

#[tokio::test(start_paused = true)]
async fn stop_awaits_tasks_that_listen() {
    let tasks = Tasks::new();
    let (sender, done) = mpsc::channel();
    for _ in 0..3 {
        let (cancelled, sender) = (tasks.cancelled(), sender.clone());
        tasks.spawn("listener", async move {
            cancelled.await;
            tokio::time::sleep(Duration::from_secs(1)).await;
            let _ = sender.send(());
        });
    }
    assert_eq!(tasks.running(), [("listener", 3)]);
    assert_eq!(tasks.clone().stop(Duration::from_secs(5)).await, 0);
    assert_eq!(done.try_iter().count(), 3);
    assert_eq!(tasks.running(), [("listener", 0)]);
}

#[tokio::test(start_paused = true)]
async fn stop_drops_tasks_that_do_not_and_says_how_many() {
    let tasks = Tasks::new();
    let held = Arc::new(());
    for _ in 0..2 {
        let held = Arc::clone(&held);
        tasks.spawn("deaf", async move {
            pending::<()>().await;
            drop(held);
        });
    }
    assert_eq!(tasks.stop(Duration::from_secs(5)).await, 2);
    assert_eq!(tasks.stop(Duration::from_secs(5)).await, 0);
    assert_eq!(Arc::strong_count(&held), 1);
    tasks.spawn("late", async { panic!("must not run") });
    assert_eq!(tasks.running(), [("deaf", 0)]);
}

#[tokio::test]
async fn a_panic_ends_its_task_alone() {
    let tasks = Tasks::new();
    tasks.spawn("bad", async { panic!("expected by this test") });
    tasks.spawn_blocking("bad-blocking", || panic!("expected by this test"));
    let (sender, done) = tokio::sync::oneshot::channel();
    tasks.spawn("good", async move {
        let _ = sender.send(());
    });
    done.await.expect("the good task ran");
    assert_eq!(tasks.stop(Duration::from_secs(5)).await, 0);
    assert!(tasks.running().iter().all(|(_, count)| *count == 0));
}

#[tokio::test]
async fn blocking_work_is_counted_and_awaited() {
    let tasks = Tasks::new();
    let (release, wait) = mpsc::channel::<()>();
    tasks.spawn_blocking("digest", move || {
        let _ = wait.recv();
    });
    assert_eq!(tasks.running(), [("digest", 1)]);
    assert_eq!(tasks.stop(Duration::from_millis(20)).await, 1);
    release.send(()).expect("the work still waits");
    assert_eq!(tasks.stop(Duration::from_secs(5)).await, 0);
}
