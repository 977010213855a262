-- The page of a PDF, the slide or the sheet that a chunk is on, counted from 1: which of them its
-- document's media type says. Null where there are none, and for what came in before.
alter table chunks add page integer check (page > 0);
