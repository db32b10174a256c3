//! Answers that are kept: for how long, how many, and for whom.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use hyper::StatusCode;
use model::AppId;

use crate::http::api::answer::{Answer, Failure};
use crate::http::api::idempotency::{Asked, Begun, Idempotency, Ticket};

fn asked(key: &str, content: u8) -> Asked<'_> {
    Asked { app: AppId(1), key, fingerprint: [content; 32], answer_bytes_max: 100 }
}

fn answer(text: &'static str) -> Answer {
    Answer { status: StatusCode::OK, body: Bytes::from(text), replayed: false }
}

async fn execute(kept: &Arc<Idempotency>, asked: Asked<'_>) -> Ticket {
    match kept.begin(asked).await.unwrap() {
        Begun::Execute(ticket) => ticket,
        Begun::Replay(answer) => panic!("replayed {answer:?}"),
    }
}

async fn replay(kept: &Arc<Idempotency>, asked: Asked<'_>) -> Answer {
    match kept.begin(asked).await.unwrap() {
        Begun::Replay(answer) => answer,
        Begun::Execute(_) => panic!("carried out again"),
    }
}

async fn refusal(kept: &Arc<Idempotency>, asked: Asked<'_>) -> Failure {
    kept.begin(asked).await.unwrap_err()
}

#[tokio::test(start_paused = true)]
async fn answer_is_kept_for_two_minutes() {
    let kept = Arc::default();
    execute(&kept, asked("a", 1)).await.finish(&answer("first"));
    tokio::time::advance(Duration::from_secs(119)).await;
    let again = replay(&kept, asked("a", 1)).await;
    assert_eq!(again, Answer { replayed: true, ..answer("first") });
    assert_eq!(refusal(&kept, asked("a", 2)).await.status, StatusCode::CONFLICT);
    tokio::time::advance(Duration::from_secs(2)).await;
    execute(&kept, asked("a", 2)).await.finish(&answer("second"));
}

#[tokio::test(start_paused = true)]
async fn apps_share_no_keys() {
    let kept = Arc::default();
    execute(&kept, asked("a", 1)).await.finish(&answer("first"));
    // Of the same stripe.
    let other = Asked { app: AppId(17), ..asked("a", 2) };
    execute(&kept, other).await.finish(&answer("other"));
    assert_eq!(replay(&kept, asked("a", 1)).await.body, "first");
}

#[tokio::test(start_paused = true)]
async fn second_of_two_at_once_waits_for_the_first() {
    let kept: Arc<Idempotency> = Arc::default();
    let ticket = execute(&kept, asked("a", 1)).await;
    let first = async {
        tokio::time::sleep(Duration::from_millis(1_900)).await;
        ticket.finish(&answer("first"));
    };
    let (second, ()) = tokio::join!(replay(&kept, asked("a", 1)), first);
    assert_eq!(second.body, "first");
}

#[tokio::test(start_paused = true)]
async fn second_is_told_of_a_conflict_after_two_seconds() {
    let kept: Arc<Idempotency> = Arc::default();
    let _running = execute(&kept, asked("a", 1)).await;
    let before = tokio::time::Instant::now();
    assert_eq!(refusal(&kept, asked("a", 1)).await.status, StatusCode::CONFLICT);
    assert_eq!(before.elapsed().as_secs(), 2);
    // Other content has nothing to wait for.
    assert_eq!(refusal(&kept, asked("a", 2)).await.status, StatusCode::CONFLICT);
    assert_eq!(before.elapsed().as_secs(), 2);
}

#[tokio::test(start_paused = true)]
async fn second_carries_it_out_if_the_first_gave_up() {
    let kept: Arc<Idempotency> = Arc::default();
    let ticket = execute(&kept, asked("a", 1)).await;
    let give_up = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        drop(ticket);
    };
    let (second, ()) = tokio::join!(execute(&kept, asked("a", 1)), give_up);
    second.finish(&answer("second"));
    assert_eq!(replay(&kept, asked("a", 1)).await.body, "second");
}

#[tokio::test(start_paused = true)]
async fn entries_of_an_app_are_bounded() {
    let kept: Arc<Idempotency> = Arc::default();
    for number in 0..10_000 {
        execute(&kept, asked(&number.to_string(), 1)).await.finish(&answer("yes"));
    }
    let full = refusal(&kept, asked("one more", 1)).await;
    assert_eq!((full.status.as_u16(), full.code()), (503, "idempotency_full"));
    execute(&kept, Asked { app: AppId(2), ..asked("another app's", 1) }).await;
    assert_eq!(replay(&kept, asked("9999", 1)).await.body, "yes");
    tokio::time::advance(Duration::from_secs(121)).await;
    execute(&kept, asked("one more", 1)).await;
}

#[tokio::test(start_paused = true)]
async fn bytes_of_an_app_are_bounded_and_given_back() {
    let kept: Arc<Idempotency> = Arc::default();
    let large = |key| Asked { answer_bytes_max: 5 << 20, ..asked(key, 1) };
    let first = execute(&kept, large("a")).await;
    assert_eq!(refusal(&kept, large("b")).await.code(), "idempotency_full");
    // What the answer did not need is free again.
    first.finish(&answer("small"));
    let second = execute(&kept, large("b")).await;
    assert_eq!(refusal(&kept, large("c")).await.code(), "idempotency_full");
    drop(second);
    execute(&kept, large("c")).await;
}

#[tokio::test(start_paused = true)]
async fn sweep_forgets_what_is_old_and_nothing_else() {
    let kept: Arc<Idempotency> = Arc::default();
    execute(&kept, asked("old", 1)).await.finish(&answer("old"));
    tokio::time::advance(Duration::from_secs(60)).await;
    execute(&kept, asked("new", 1)).await.finish(&answer("new"));
    tokio::time::advance(Duration::from_secs(61)).await;
    kept.sweep();
    assert_eq!(replay(&kept, asked("new", 1)).await.body, "new");
    execute(&kept, asked("old", 2)).await;
}
