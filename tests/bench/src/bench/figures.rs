//! Figures of a run: latencies with their percentiles, medians, and tables as text or JSON.

use std::time::Duration;

use serde_json::{Map, Value};

/// Latencies of one cell. Sorted once, when they are asked for.
#[derive(Clone, Debug, Default)]
pub struct Latencies(Vec<Duration>);

impl Latencies {
    pub fn push(&mut self, latency: Duration) {
        self.0.push(latency);
    }

    pub fn merge(&mut self, other: Self) {
        self.0.extend(other.0);
    }

    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// The latencies at these shares (0 to 1), in microseconds.
    pub fn percentiles<const N: usize>(&mut self, shares: [f64; N]) -> [f64; N] {
        self.0.sort_unstable();
        let last = self.0.len().saturating_sub(1);
        shares.map(|share| {
            let place = (share * last as f64).round() as usize;
            self.0.get(place).map_or(0.0, |latency| latency.as_secs_f64() * 1e6)
        })
    }
}

/// The middle one of some figures.
pub fn median(figures: impl IntoIterator<Item = f64>) -> f64 {
    let mut figures: Vec<f64> = figures.into_iter().collect();
    figures.sort_by(f64::total_cmp);
    figures.get(figures.len() / 2).copied().unwrap_or(0.0)
}

/// Rows under headings, as text or as one JSON object each.
pub struct Table {
    headings: Vec<&'static str>,
    rows: Vec<Vec<Value>>,
}

impl Table {
    pub fn new(headings: &[&'static str]) -> Self {
        Self { headings: headings.to_vec(), rows: Vec::new() }
    }

    pub fn row(&mut self, cells: Vec<Value>) {
        assert_eq!(cells.len(), self.headings.len(), "a row has a cell under each heading");
        self.rows.push(cells);
    }

    pub fn print(&self, json: bool) {
        if json {
            for row in &self.rows {
                let pairs = self.headings.iter().zip(row);
                let object: Map<String, Value> =
                    pairs.map(|(heading, cell)| ((*heading).to_owned(), cell.clone())).collect();
                println!("{}", Value::Object(object));
            }
            return;
        }
        let head = self.headings.iter().map(|heading| (*heading).to_owned()).collect();
        let body = self.rows.iter().map(|row| row.iter().map(shown).collect());
        let lines: Vec<Vec<String>> = std::iter::once(head).chain(body).collect();
        let wide = |column: usize| lines.iter().map(|line| line[column].len()).max().unwrap_or(0);
        let widths: Vec<usize> = (0..self.headings.len()).map(wide).collect();
        for line in &lines {
            let cells = line
                .iter()
                .zip(&widths)
                .enumerate()
                .map(|(place, (cell, width))| aligned(cell, *width, place == 0));
            println!("{}", cells.collect::<Vec<_>>().join("  "));
        }
    }
}

/// The first column to the left, figures to the right.
fn aligned(cell: &str, width: usize, left: bool) -> String {
    if left { format!("{cell:<width$}") } else { format!("{cell:>width$}") }
}

/// A figure with as many places as it deserves; other cells as they are.
fn shown(cell: &Value) -> String {
    match cell {
        Value::Null => "-".to_owned(),
        Value::String(text) => text.clone(),
        other => match other.as_f64() {
            Some(figure) if figure.abs() >= 100.0 || figure.fract() == 0.0 => {
                format!("{figure:.0}")
            }
            Some(figure) => format!("{figure:.2}"),
            None => other.to_string(),
        },
    }
}
