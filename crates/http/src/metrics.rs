//! The metrics page: counters, gauges and histograms in Prometheus' text form (OpenMetrics 1.0).
//!
//! Names carry their unit, as in `levada_wal_sync_seconds`; counters get `_total` from the format.

use std::fmt;
use std::sync::Arc;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, MetricEncoder, NoLabelSet, text};
use prometheus_client::metrics::MetricType;

/// Something that has figures to show; called at each scrape.
pub trait Collect: Send + Sync + 'static {
    /// Writes its figures.
    ///
    /// # Errors
    /// Only what `page` returned.
    fn collect(&self, page: &mut Page<'_>) -> fmt::Result;
}

/// Names and values that tell the samples of one metric apart.
pub type Labels<'a> = &'a [(&'a str, &'a str)];

/// The page while it is written.
pub struct Page<'a> {
    encoder: DescriptorEncoder<'a>,
}

impl Page<'_> {
    /// A count that only grows. `name` is without `_total`.
    ///
    /// # Errors
    /// When the page cannot grow.
    pub fn counter(&mut self, name: &str, help: &str, value: u64) -> fmt::Result {
        self.start(name, help, MetricType::Counter)?
            .encode_counter::<NoLabelSet, u64, f64>(&value, None)
    }

    /// A count of seconds that only grows. `name` ends in `_seconds`.
    ///
    /// # Errors
    /// When the page cannot grow.
    pub fn counter_seconds(&mut self, name: &str, help: &str, seconds: f64) -> fmt::Result {
        self.start(name, help, MetricType::Counter)?
            .encode_counter::<NoLabelSet, f64, f64>(&seconds, None)
    }

    /// One count for each set of labels; nothing at all if there is none.
    ///
    /// # Errors
    /// When the page cannot grow.
    pub fn counters<'l>(
        &mut self,
        name: &str,
        help: &str,
        samples: impl IntoIterator<Item = (Labels<'l>, u64)>,
    ) -> fmt::Result {
        let mut samples = samples.into_iter().peekable();
        if samples.peek().is_none() {
            return Ok(());
        }
        let mut family = self.start(name, help, MetricType::Counter)?;
        for (labels, value) in samples {
            family
                .encode_family(&labels)?
                .encode_counter::<NoLabelSet, u64, f64>(&value, None)?;
        }
        Ok(())
    }

    /// A value that goes up and down.
    ///
    /// # Errors
    /// When the page cannot grow.
    pub fn gauge(&mut self, name: &str, help: &str, value: u64) -> fmt::Result {
        let value = i64::try_from(value).unwrap_or(i64::MAX);
        self.start(name, help, MetricType::Gauge)?
            .encode_gauge(&value)
    }

    /// One value for each set of labels; nothing at all if there is none.
    ///
    /// # Errors
    /// When the page cannot grow.
    pub fn gauges<'l>(
        &mut self,
        name: &str,
        help: &str,
        samples: impl IntoIterator<Item = (Labels<'l>, u64)>,
    ) -> fmt::Result {
        let mut samples = samples.into_iter().peekable();
        if samples.peek().is_none() {
            return Ok(());
        }
        let mut family = self.start(name, help, MetricType::Gauge)?;
        for (labels, value) in samples {
            let value = i64::try_from(value).unwrap_or(i64::MAX);
            family.encode_family(&labels)?.encode_gauge(&value)?;
        }
        Ok(())
    }

    /// How often which size or time was seen: `buckets` are (upper bound, count within this bucket
    /// alone), ascending, the last bound infinite; `sum` is of all that was seen.
    ///
    /// # Errors
    /// When the page cannot grow.
    pub fn histogram(
        &mut self,
        name: &str,
        help: &str,
        sum: f64,
        buckets: &[(f64, u64)],
    ) -> fmt::Result {
        let count = buckets.iter().map(|(_, count)| count).sum();
        self.start(name, help, MetricType::Histogram)?
            .encode_histogram::<NoLabelSet>(sum, count, buckets, None)
    }

    /// One histogram for each set of labels, as (labels, sum, buckets); see [`Page::histogram`].
    ///
    /// # Errors
    /// When the page cannot grow.
    pub fn histograms<'l>(
        &mut self,
        name: &str,
        help: &str,
        samples: impl IntoIterator<Item = (Labels<'l>, f64, Vec<(f64, u64)>)>,
    ) -> fmt::Result {
        let mut samples = samples.into_iter().peekable();
        if samples.peek().is_none() {
            return Ok(());
        }
        let mut family = self.start(name, help, MetricType::Histogram)?;
        for (labels, sum, buckets) in samples {
            let count = buckets.iter().map(|(_, count)| count).sum();
            family
                .encode_family(&labels)?
                .encode_histogram::<NoLabelSet>(sum, count, &buckets, None)?;
        }
        Ok(())
    }

    fn start<'s>(
        &'s mut self,
        name: &'s str,
        help: &str,
        kind: MetricType,
    ) -> Result<MetricEncoder<'s>, fmt::Error> {
        debug_assert!(name.starts_with("levada_"), "{name}");
        // The format ends a help text with a full stop of its own.
        self.encoder
            .encode_descriptor(name, help.trim_end_matches('.'), None, kind)
    }
}

/// All that `/metrics` shows. Cheap to clone.
#[derive(Clone)]
pub struct Registry(Arc<prometheus_client::registry::Registry>);

impl Registry {
    /// A page of what these collect, in this order.
    #[must_use]
    pub fn new(collectors: Vec<Box<dyn Collect>>) -> Self {
        let mut registry = prometheus_client::registry::Registry::default();
        for collector in collectors {
            registry.register_collector(Box::new(Adapter(collector)));
        }
        Self(Arc::new(registry))
    }

    /// The page as it is now.
    ///
    /// # Errors
    /// When a collector wrote what the format does not allow.
    pub fn render(&self) -> Result<String, fmt::Error> {
        let mut page = String::new();
        text::encode(&mut page, &self.0)?;
        Ok(page)
    }
}

struct Adapter(Box<dyn Collect>);

impl fmt::Debug for Adapter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Adapter")
    }
}

impl Collector for Adapter {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        self.0.collect(&mut Page { encoder })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Sample;

    impl Collect for Sample {
        fn collect(&self, page: &mut Page<'_>) -> fmt::Result {
            page.counter("levada_things", "Things seen.", 3)?;
            page.gauge("levada_held_bytes", "Bytes held.", 7)?;
            let labels: [(&str, &str); 1] = [("api", "Produce")];
            page.counters("levada_requests", "Requests.", [(&labels[..], 5)])?;
            page.counters("levada_unused", "Not there.", [])?;
            page.histogram(
                "levada_wait_seconds",
                "Waits.",
                1.5,
                &[(0.1, 2), (1.0, 1), (f64::INFINITY, 1)],
            )
        }
    }

    #[test]
    fn a_page_has_each_figure_with_its_help_and_type() {
        let page = Registry::new(vec![Box::new(Sample)]).render().unwrap();
        for line in [
            "# HELP levada_things Things seen",
            "# TYPE levada_things counter",
            "levada_things_total 3",
            "levada_held_bytes 7",
            "levada_requests_total{api=\"Produce\"} 5",
            "levada_wait_seconds_count 4",
            "levada_wait_seconds_bucket{le=\"1.0\"} 3",
            "levada_wait_seconds_bucket{le=\"+Inf\"} 4",
            "# EOF",
        ] {
            assert!(page.lines().any(|l| l == line), "{line} is not in\n{page}");
        }
        assert!(!page.contains("levada_unused"));
    }
}
