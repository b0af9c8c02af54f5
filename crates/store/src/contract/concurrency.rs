//! Many tasks at once.

use std::sync::Arc;

use tokio::task::JoinSet;

use super::{Fixture, key};
use crate::{LeaseName, StoreError};

const TASKS: u64 = 50;

pub(super) async fn all(fresh: &impl AsyncFn() -> Fixture) {
    no_update_is_lost(fresh().await).await;
    one_task_gets_the_lease(fresh().await).await;
    one_task_is_the_first_to_use_a_thing(fresh().await).await;
    a_sign_out_wins_against_every_update(fresh().await).await;
}

/// Every task counts up by one, by compare-and-swap.
async fn no_update_is_lost(f: Fixture) {
    f.store.create(key("a"), f.record("0")).await.unwrap();
    let mut tasks = JoinSet::new();
    for _ in 0..TASKS {
        let store = Arc::clone(&f.store);
        tasks.spawn(async move {
            loop {
                let mut read = store.get(key("a")).await.unwrap().unwrap();
                let count: u64 = std::str::from_utf8(&read.value.sealed).unwrap().parse().unwrap();
                read.value.sealed = (count + 1).to_string().into_bytes();
                match store.update(key("a"), read.version, read.value).await {
                    Ok(_) => break,
                    Err(error) => assert_eq!(error, StoreError::Conflict),
                }
            }
        });
    }
    while let Some(done) = tasks.join_next().await {
        done.unwrap();
    }
    assert_eq!(f.content(key("a")).await, Some(TASKS.to_string()));
}

async fn one_task_gets_the_lease(f: Fixture) {
    let mut tasks = JoinSet::new();
    for number in 0..TASKS {
        let store = Arc::clone(&f.store);
        tasks.spawn(async move {
            let holder = format!("task {number}");
            store
                .acquire(LeaseName::job("refresh"), &holder, 30)
                .await
                .unwrap()
                .is_some()
        });
    }
    assert_eq!(count_true(tasks).await, 1);
}

async fn one_task_is_the_first_to_use_a_thing(f: Fixture) {
    let until = f.now().plus(60);
    let mut tasks = JoinSet::new();
    for _ in 0..TASKS {
        let store = Arc::clone(&f.store);
        tasks.spawn(async move { store.mark("logout", b"jti", until).await.unwrap() });
    }
    assert_eq!(count_true(tasks).await, 1);
}

/// Half of the tasks write as fast as they can, one deletes: afterwards there is no session.
async fn a_sign_out_wins_against_every_update(f: Fixture) {
    f.store.create(key("a"), f.record("0")).await.unwrap();
    let mut tasks = JoinSet::new();
    for number in 0..TASKS {
        let store = Arc::clone(&f.store);
        let record = f.record(&number.to_string());
        tasks.spawn(async move {
            if number == TASKS / 2 {
                return store.delete(key("a")).await.unwrap();
            }
            while let Some(read) = store.get(key("a")).await.unwrap() {
                match store.update(key("a"), read.version, record.clone()).await {
                    Ok(_) | Err(StoreError::Conflict) => {}
                    Err(error) => assert_eq!(error, StoreError::Gone),
                }
            }
            false
        });
    }
    assert_eq!(count_true(tasks).await, 1, "the session was deleted once");
    assert_eq!(f.content(key("a")).await, None);
}

async fn count_true(mut tasks: JoinSet<bool>) -> usize {
    let mut count = 0;
    while let Some(done) = tasks.join_next().await {
        count += usize::from(done.unwrap());
    }
    count
}
