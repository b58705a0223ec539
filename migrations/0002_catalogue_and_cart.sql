-- Search in the names of products, and the order of a cart.

-- The characters of a name, and its pairs of neighbours: `노트북` has 노, 노트, 트, 트북, 북. A name holds a text exactly
-- if it holds the text's pairs in the right places, so an index of pairs finds the few names that are worth a look.
-- Pairs and not three at once, because a Korean word often has but two; and no dictionary and no extension, so that it
-- is the same on every server. NFKC, because one keyboard sends `가` as one character and another one as two. Named in
-- full, because an index is built and analysed with a search path of its own.
create function search_grams(words text) returns text[]
  language sql immutable strict parallel safe
  -- Dear, so that the planner asks the index instead of folding every name of the shop.
  cost 10000
as $$
  select coalesce(pg_catalog.array_agg(distinct pg_catalog.substr(folded, at, size)), '{}')
    from pg_catalog.lower(pg_catalog.normalize(words, 'NFKC')) as folded,
         pg_catalog.generate_series(1, pg_catalog.length(folded)) as at,
         pg_catalog.generate_series(1, 2) as size
$$;

-- Of the function and not of a column: a stored one would be copied with every change of a stock.
create index products_search on products using gin (search_grams(name));

-- A cart shows what was put into it first on top; changing a quantity does not move a line.
alter table cart_items add column added_at timestamptz not null default now();
