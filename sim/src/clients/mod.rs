//! What clients do: each is a task with a connection of its own and chance of its own.

mod admin;
mod auditor;
mod fetch;
mod link;
mod member;
mod producer;
mod queues;
mod reader;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use crate::history::ClientId;
use crate::plan::CLIENT_HOSTS;
use crate::world::World;
use link::Link;

pub use auditor::audit;

type Work = Pin<Box<dyn Future<Output = ()>>>;
type Begin = Box<dyn FnOnce(Link) -> Work>;

/// Runs the clients of one host until the run is calm.
pub async fn run(world: Arc<World>, host: &'static str) -> turmoil::Result {
    let place = CLIENT_HOSTS.iter().position(|known| *known == host);
    let mut tasks = Vec::new();
    for (index, begin) in crew(&world).into_iter().enumerate() {
        if Some(index % CLIENT_HOSTS.len()) == place {
            let link = Link::new(world.clone(), ClientId(index as u32));
            tasks.push(tokio::task::spawn_local(begin(link)));
        }
    }
    for task in tasks {
        task.await?;
    }
    Ok(())
}

fn crew(world: &Arc<World>) -> Vec<Begin> {
    let crew = &world.plan.crew;
    let mut all: Vec<Begin> = vec![Box::new(|link| Box::pin(admin::work(link)))];
    for _ in 0..crew.idempotent {
        all.push(Box::new(|link| Box::pin(producer::work(link, true))));
    }
    for _ in 0..crew.plain {
        all.push(Box::new(|link| Box::pin(producer::work(link, false))));
    }
    for _ in 0..crew.readers {
        all.push(Box::new(|link| Box::pin(reader::work(link))));
    }
    for group in 0..crew.groups {
        for _ in 0..crew.members {
            let name = group_name(group);
            all.push(Box::new(|link| Box::pin(member::work(link, name))));
        }
    }
    for _ in 0..crew.queues {
        all.push(Box::new(|link| Box::pin(queues::work(link))));
    }
    if crew.queues > 0 {
        all.push(Box::new(|link| Box::pin(queues::follow(link))));
    }
    all
}

/// The name of a plan's group.
pub fn group_name(index: u64) -> String {
    format!("g{index}")
}
