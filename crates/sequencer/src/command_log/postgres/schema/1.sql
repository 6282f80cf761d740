-- The command logs of any number of cells. Positions are running totals of bytes.

-- One row a cell: who owns its log, and where it ends. Every append changes it in the same
-- statement, so an append of an owner that was replaced changes nothing.
CREATE TABLE levada_log (
    cell     text   PRIMARY KEY,
    -- Grows with every session that owns the log, an owner that comes back included.
    epoch    bigint NOT NULL,
    owner    bytea  NOT NULL,
    last     bigint NOT NULL,
    snapshot bigint NOT NULL
) WITH (fillfactor = 20);

-- One row a group commit. `previous` chains them: a row that is gone is noticed.
CREATE TABLE levada_record (
    cell     text   NOT NULL,
    position bigint NOT NULL,
    previous bigint NOT NULL,
    epoch    bigint NOT NULL,
    crc      bigint NOT NULL,
    record   bytea  NOT NULL,
    PRIMARY KEY (cell, position)
);

CREATE TABLE levada_snapshot (
    cell     text    NOT NULL,
    position bigint  NOT NULL,
    piece    integer NOT NULL,
    pieces   integer NOT NULL,
    crc      bigint  NOT NULL,
    content  bytea   NOT NULL,
    PRIMARY KEY (cell, position, piece)
);

-- Records are small or hardly compressible, and the writer waits for each.
ALTER TABLE levada_record ALTER COLUMN record SET STORAGE EXTERNAL;
ALTER TABLE levada_snapshot ALTER COLUMN content SET STORAGE EXTERNAL;
