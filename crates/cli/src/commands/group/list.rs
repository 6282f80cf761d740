//! `levada group list`.

use levada_client::Client;
use serde::Serialize;

use crate::context::Context;
use crate::error::CliResult;
use crate::output::{Report, Table};
use crate::remote::suggest;

#[derive(Serialize)]
struct Row {
    group: String,
    state: String,
    kind: String,
    protocol_type: String,
    coordinator: i32,
}

#[derive(Serialize)]
#[serde(transparent)]
struct Groups(Vec<Row>);

impl Report for Groups {
    fn table(&self) -> Table {
        let mut table = Table::new(&["group", "state", "kind", ">coordinator"]);
        for row in &self.0 {
            let cells = [
                &row.group,
                &row.state,
                &row.kind,
                &row.coordinator.to_string(),
            ];
            table.row(cells.map(String::as_str));
        }
        table
    }

    fn names(&self) -> Vec<String> {
        self.0.iter().map(|row| row.group.clone()).collect()
    }
}

pub async fn list(client: &Client, context: &Context) -> CliResult {
    let groups = client.list_groups().await?;
    let first = groups.first().map(|group| group.id.clone());
    let rows = groups.into_iter().map(|group| Row {
        group: group.id,
        state: group.state,
        kind: group.kind,
        protocol_type: group.protocol_type,
        coordinator: group.coordinator,
    });
    context.print(&Groups(rows.collect()))?;
    match first {
        Some(first) => suggest(context, &format!("levada group describe {first}")),
        None => suggest(context, "levada consume TOPIC --group NAME"),
    }
    Ok(())
}
