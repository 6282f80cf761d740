//! What a load generator is asked to do.

/// What a load generator does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Produce,
    Consume,
    Latency,
}

/// Which load generator it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Driver {
    /// `levada bench`, or `levada-peers` for other protocols than Kafka's.
    Ours,
    /// Through confluent-kafka for Python.
    Librdkafka,
    /// The performance tools that come with Apache Kafka.
    Java,
}

/// One run of a load generator.
#[derive(Clone, Copy, Debug)]
pub struct Load {
    pub driver: Driver,
    pub kind: Kind,
    /// Bytes of a record's value.
    pub size: u32,
    pub count: u64,
    /// Records in a batch; what fits 64 KiB when not given.
    pub batch: Option<u32>,
    /// Batches under way; 4 when not given.
    pub in_flight: Option<u32>,
    /// Records a second; as fast as possible when not given.
    pub rate: Option<u64>,
    /// Partitions of the topic; one when not given.
    pub partitions: Option<u32>,
    /// The only one that is read, to its end, whatever `count` says.
    pub partition: Option<u32>,
}

/// Records kept by the floor take a little more than their values.
const KEEP_PERCENT: u64 = 125;
const QUICK_DIVISOR: u64 = 10;
/// A load at a rate is as long as it has records.
const QUICK_RATE_DIVISOR: u64 = 5;

impl Load {
    pub const fn new(kind: Kind, size: u32, count: u64) -> Self {
        Self {
            driver: Driver::Ours,
            kind,
            size,
            count,
            batch: None,
            in_flight: None,
            rate: None,
            partitions: None,
            partition: None,
        }
    }

    /// The same with fewer records: for a short run, and for a system that would take minutes.
    pub fn shortened(mut self, quick: bool, divisor: u64) -> Self {
        let divisor = match (self.rate, quick) {
            (Some(_), true) => QUICK_RATE_DIVISOR,
            (Some(_), false) => 1,
            (None, true) => QUICK_DIVISOR * divisor,
            (None, false) => divisor,
        };
        self.count = (self.count / divisor).max(1);
        self
    }

    /// Command line arguments, the same for every load generator.
    pub fn arguments(&self) -> Vec<String> {
        let kind = match self.kind {
            Kind::Produce => "produce",
            Kind::Consume => "consume",
            Kind::Latency => "latency",
        };
        let mut arguments = vec![kind.to_owned()];
        let mut add = |name: &str, value: Option<u64>| {
            if let Some(value) = value {
                arguments.extend([format!("--{name}"), value.to_string()]);
            }
        };
        add("size", Some(u64::from(self.size)));
        add("count", self.partition.is_none().then_some(self.count));
        add("batch", self.batch.map(u64::from));
        add("in-flight", self.in_flight.map(u64::from));
        add("rate", self.rate);
        add("partitions", self.partitions.map(u64::from));
        add("partition", self.partition.map(u64::from));
        arguments
    }

    /// Memory for the records that it reads, MiB; zero when it reads none.
    pub fn keep_mib(&self) -> u64 {
        // A batch of one small record is more header than value.
        let bytes = (self.bytes() * KEEP_PERCENT / 100).max(16 << 20);
        match self.kind {
            Kind::Produce => 0,
            Kind::Consume | Kind::Latency => (bytes >> 20) + 1,
        }
    }

    /// Bytes of values in it.
    pub fn bytes(&self) -> u64 {
        u64::from(self.size) * self.count
    }
}

/// The first request that a server answers.
pub const FIRST: Load = Load {
    batch: Some(1),
    ..Load::new(Kind::Produce, 100, 1)
};

/// Before anything is measured: memory is touched, a virtual machine compiles.
pub const WARM_UP: Load = Load::new(Kind::Produce, 1024, 100_000);
