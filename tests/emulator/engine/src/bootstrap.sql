-- The emulator's side of PostgreSQL: its catalogue and the functions its statements call. Run at every start;
-- everything here may be run again. Tables of users live in schema sfd, named t<id>, columns c<n>: Snowflake's
-- names are longer than PostgreSQL's and stay in the catalogue.
begin;
select pg_advisory_xact_lock(5157001);
create schema if not exists sfe;
create schema if not exists sfd;

create table if not exists sfe.versions (catalog bigint not null);
insert into sfe.versions select 1 where not exists (select from sfe.versions);
create table if not exists sfe.databases (name text primary key, created_at bigint not null);
create table if not exists sfe.schemas (
    database_name text not null, name text not null, created_at bigint not null, primary key (database_name, name));
create table if not exists sfe.tables (
    id bigint generated always as identity primary key,
    database_name text not null, schema_name text not null, name text not null,
    kind text not null check (kind in ('table', 'view')),
    created_at bigint not null, altered_at bigint not null,
    retention_days int not null default 1, transient boolean not null default false,
    view_sql text, comment text not null default '',
    unique (database_name, schema_name, name));
create table if not exists sfe.columns (
    table_id bigint not null references sfe.tables on delete cascade,
    ordinal int not null, name text not null, sql_type text not null,
    nullable boolean not null, key_position int, default_sql text, comment text not null default '',
    primary key (table_id, ordinal));
create table if not exists sfe.denials (
    role text not null, database_name text not null, schema_name text not null, name text not null,
    primary key (role, database_name, schema_name, name));

-- Numbers and booleans -----------------------------------------------------------------------------------------

create or replace function sfe.text_number(t text, try boolean) returns numeric
language plpgsql immutable strict parallel safe as $$
begin
    if t ~ '^\s*[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,3})?\s*$' then
        return t::numeric;
    elsif try then
        return null;
    end if;
    raise exception 'Numeric value ''%'' is not recognized', t using errcode = 'SF038';
end $$;

create or replace function sfe.fit_number(n numeric, p int, s int, try boolean) returns numeric
language plpgsql immutable strict parallel safe as $$
begin
    if n = 'NaN' or abs(round(n, s)) >= power(10::numeric, p - s) then
        if try then return null; end if;
        raise exception 'Number out of representable range: type FIXED(%,%)', p, s using errcode = 'SF046';
    end if;
    return round(n, s);
end $$;

create or replace function sfe.text_float(t text, try boolean) returns float8
language plpgsql immutable strict parallel safe as $$
begin
    if t ~* '^\s*([+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d{1,3})?|nan|[+-]?inf(inity)?)\s*$' then
        return trim(t)::float8;
    elsif try then
        return null;
    end if;
    raise exception 'Numeric value ''%'' is not recognized', t using errcode = 'SF038';
end $$;

create or replace function sfe.float_text(f float8) returns text
language sql immutable strict parallel safe as
$$ select case f::text when 'Infinity' then 'inf' when '-Infinity' then '-inf' else f::text end $$;

create or replace function sfe.text_boolean(t text, try boolean) returns boolean
language plpgsql immutable strict parallel safe as $$
begin
    case lower(t)
        when 'true', 't', 'yes', 'y', 'on', '1' then return true;
        when 'false', 'f', 'no', 'n', 'off', '0' then return false;
        else null;
    end case;
    if try then return null; end if;
    raise exception 'Boolean value ''%'' is not recognized', t using errcode = 'SF037';
end $$;

create or replace function sfe.text_binary(t text, try boolean) returns bytea
language plpgsql immutable strict parallel safe as $$
begin
    if t ~ '^([0-9A-Fa-f]{2})*$' then
        return decode(t, 'hex');
    elsif try then
        return null;
    end if;
    raise exception 'The following string is not a legal hex-encoded value: ''%''', t using errcode = 'SF115';
end $$;

create or replace function sfe.fit_text(t text, n bigint, try boolean) returns text
language plpgsql immutable strict parallel safe as $$
begin
    if length(t) <= n or sfe.text_length(t) <= n then
        return t;
    elsif try then
        return null;
    end if;
    raise exception 'String ''%'' is too long and would be truncated', left(t, 100) using errcode = 'SF078';
end $$;

-- The length of a stored text: U+0000 and U+0001 take two characters there.
create or replace function sfe.text_length(t text) returns int
language sql immutable strict parallel safe as
$$ select length(t) - (length(t) - length(regexp_replace(t, E'\x01.', '', 'g'))) / 2 $$;

-- Functions that count characters refuse a text in which U+0000 would take two.
create or replace function sfe.without_nul(t text) returns text
language plpgsql immutable strict parallel safe as $$
begin
    if strpos(t, E'\x01') > 0 then
        raise exception 'the emulator cannot cut a text that holds U+0000 or U+0001' using errcode = '0A000';
    end if;
    return t;
end $$;

-- Dates and times ----------------------------------------------------------------------------------------------
--
-- Seconds lose their fraction before they are divided: a quotient has 16 digits, and the last nanosecond of a day would
-- be rounded into the next one.

-- Days since 1970-01-01 of a proleptic Gregorian date; year 0 exists and is 1 BC.
create or replace function sfe.days(y int, m int, d int) returns int
language plpgsql immutable strict parallel safe as $$
declare
    yy int := y - case when m <= 2 then 1 else 0 end;
    era int := floor(yy / 400.0);
    yoe int := yy - era * 400;
    doy int := (153 * (m + case when m > 2 then -3 else 9 end) + 2) / 5 + d - 1;
begin
    return era * 146097 + yoe * 365 + yoe / 4 - yoe / 100 + doy - 719468;
end $$;

-- {year, month, day} of a day number.
create or replace function sfe.civil(days int) returns int[]
language plpgsql immutable strict parallel safe as $$
declare
    z int := days + 719468;
    era int := floor(z / 146097.0);
    doe int := z - era * 146097;
    yoe int := (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
    doy int := doe - (365 * yoe + yoe / 4 - yoe / 100);
    mp int := (5 * doy + 2) / 153;
    m int := mp + case when mp < 10 then 3 else -9 end;
begin
    return array[yoe + era * 400 + case when m <= 2 then 1 else 0 end, m, doy - (153 * mp + 2) / 5 + 1];
end $$;

create or replace function sfe.year_text(y int) returns text
language sql immutable strict parallel safe as
$$ select case when y < 0 then '-' else '' end || lpad(abs(y)::text, greatest(4, length(abs(y)::text)), '0') $$;

create or replace function sfe.date_text(days int) returns text
language plpgsql immutable strict parallel safe as $$
declare c int[] := sfe.civil(days);
begin
    return sfe.year_text(c[1]) || '-' || lpad(c[2]::text, 2, '0') || '-' || lpad(c[3]::text, 2, '0');
end $$;

create or replace function sfe.add_months(days int, n int) returns int
language plpgsql immutable strict parallel safe as $$
declare
    c int[] := sfe.civil(days);
    month int := c[1] * 12 + c[2] - 1 + n;
    y int := floor(month / 12.0);
    m int := month - y * 12 + 1;
    next_month int := case when m = 12 then sfe.days(y + 1, 1, 1) else sfe.days(y, m + 1, 1) end;
begin
    return least(sfe.days(y, m, 1) + c[3] - 1, next_month - 1);
end $$;

-- {seconds of the wall clock, offset in seconds or NULL, 1 if the text had a time} of an ISO text; NULL if it is none.
create or replace function sfe.parse_timestamp(t text) returns numeric[]
language plpgsql immutable strict parallel safe as $$
declare
    p text[] := regexp_match(t, '^\s*([+-]?\d{4,6})-(\d{1,2})-(\d{1,2})(?:(?:T|\s+)(\d{1,2}):(\d{1,2})(?::(\d{1,2})(?:\.(\d{0,9}))?)?)?\s*(Z|UTC|GMT|([+-])(\d{1,2}):?(\d{2})?)?\s*$', 'i');
    day int;
    zone numeric;
begin
    if p is null or p[2]::int not between 1 and 12 or p[3]::int not between 1 and 31
        or coalesce(p[4]::int, 0) > 23 or coalesce(p[5]::int, 0) > 59 or coalesce(p[6]::int, 0) > 59
        or coalesce(p[10]::int, 0) > 14 or coalesce(p[11]::int, 0) > 59 then
        return null;
    end if;
    day := sfe.days(p[1]::int, p[2]::int, p[3]::int);
    if (sfe.civil(day))[3] <> p[3]::int then
        return null;
    end if;
    if p[8] is not null then
        zone := coalesce(p[10]::int * 3600 + coalesce(p[11]::int, 0) * 60, 0) * case p[9] when '-' then -1 else 1 end;
    end if;
    return array[
        day * 86400::numeric + coalesce(p[4]::int, 0) * 3600 + coalesce(p[5]::int, 0) * 60
            + ('0' || coalesce(p[6], '') || '.' || coalesce(p[7], '') || '0')::numeric,
        zone, case when p[4] is null then 0 else 1 end];
end $$;

create or replace function sfe.text_date(t text, try boolean) returns int
language plpgsql immutable strict parallel safe as $$
declare p numeric[] := sfe.parse_timestamp(t);
begin
    if p is not null then
        return floor(floor(p[1]) / 86400)::int;
    elsif try then
        return null;
    end if;
    raise exception 'Date ''%'' is not recognized', t using errcode = 'SF040';
end $$;

create or replace function sfe.text_time(t text, try boolean) returns numeric
language plpgsql immutable strict parallel safe as $$
declare p text[] := regexp_match(t, '^\s*(\d{1,2}):(\d{1,2})(?::(\d{1,2})(?:\.(\d{0,9}))?)?\s*$');
begin
    if p is not null and p[1]::int < 24 and p[2]::int < 60 and coalesce(p[3]::int, 0) < 60 then
        return p[1]::int * 3600 + p[2]::int * 60 + ('0' || coalesce(p[3], '') || '.' || coalesce(p[4], '') || '0')::numeric;
    elsif try then
        return null;
    end if;
    raise exception 'Time ''%'' is not recognized', t using errcode = 'SF035';
end $$;

-- What the zone's clocks are ahead of UTC at an instant, in seconds.
create or replace function sfe.zone_offset(utc numeric, zone text) returns int
language plpgsql immutable strict parallel safe as $$
declare i timestamptz;
begin
    if zone in ('UTC', 'Etc/UTC', 'GMT') then return 0; end if;
    i := timestamptz 'epoch' + floor(utc)::float8 * interval '1 second';
    return extract(epoch from (i at time zone zone) - (i at time zone 'UTC'))::int;
end $$;

create or replace function sfe.local_to_utc(local numeric, zone text) returns numeric
language plpgsql immutable strict parallel safe as $$
begin
    if zone in ('UTC', 'Etc/UTC', 'GMT') then return local; end if;
    return extract(epoch from (timestamp 'epoch' + floor(local)::float8 * interval '1 second') at time zone zone)
        + (local - floor(local));
end $$;

create or replace function sfe.text_ntz(t text, try boolean) returns numeric
language plpgsql immutable strict parallel safe as $$
declare p numeric[] := sfe.parse_timestamp(t);
begin
    if p is not null then
        return p[1];
    elsif try then
        return null;
    end if;
    raise exception 'Timestamp ''%'' is not recognized', t using errcode = 'SF035';
end $$;

create or replace function sfe.text_ltz(t text, try boolean, zone text) returns numeric
language plpgsql immutable strict parallel safe as $$
declare p numeric[] := sfe.parse_timestamp(t);
begin
    if p is not null then
        return case when p[2] is null then sfe.local_to_utc(p[1], zone) else p[1] - p[2] end;
    elsif try then
        return null;
    end if;
    raise exception 'Timestamp ''%'' is not recognized', t using errcode = 'SF035';
end $$;

-- A TIMESTAMP_TZ is {UTC seconds, minutes east of UTC}.
create or replace function sfe.text_tz(t text, try boolean, zone text) returns numeric[]
language plpgsql immutable strict parallel safe as $$
declare p numeric[] := sfe.parse_timestamp(t);
begin
    if p is not null then
        return case when p[2] is null then sfe.ltz_tz(sfe.local_to_utc(p[1], zone), zone)
            else array[p[1] - p[2], trunc(p[2] / 60)] end;
    elsif try then
        return null;
    end if;
    raise exception 'Timestamp ''%'' is not recognized', t using errcode = 'SF035';
end $$;

create or replace function sfe.ltz_tz(utc numeric, zone text) returns numeric[]
language sql immutable strict parallel safe as
$$ select array[utc, trunc(sfe.zone_offset(utc, zone) / 60.0)] $$;

create or replace function sfe.tz_wire(t numeric[]) returns text
language sql immutable strict parallel safe as
$$ select t[1]::numeric(38,9)::text || ' ' || (t[2] + 1440)::int::text $$;

-- A moment as text: `parts` are the format's elements, anything unknown stands for itself.
create or replace function sfe.format_time(local numeric, minutes int, parts text[]) returns text
language plpgsql immutable strict parallel safe as $$
declare
    day int := floor(floor(local) / 86400);
    c int[] := sfe.civil(day);
    rest int := floor(local)::numeric - day * 86400::numeric;
    fraction text := substr(to_char(local - floor(local), 'FM0.000000000'), 3);
    part text;
    answer text := '';
begin
    foreach part in array parts loop
        answer := answer || case part
            when 'YYYY' then sfe.year_text(c[1])
            when 'YY' then lpad((c[1] % 100)::text, 2, '0')
            when 'MM' then lpad(c[2]::text, 2, '0')
            when 'MON' then (array['Jan','Feb','Mar','Apr','May','Jun','Jul','Aug','Sep','Oct','Nov','Dec'])[c[2]]
            when 'DD' then lpad(c[3]::text, 2, '0')
            when 'DY' then (array['Mon','Tue','Wed','Thu','Fri','Sat','Sun'])[((day + 3) % 7 + 7) % 7 + 1]
            when 'HH24' then lpad((rest / 3600)::text, 2, '0')
            when 'HH12' then lpad(((rest / 3600 + 11) % 12 + 1)::text, 2, '0')
            when 'AM' then case when rest < 43200 then 'AM' else 'PM' end
            when 'MI' then lpad((rest / 60 % 60)::text, 2, '0')
            when 'SS' then lpad((rest % 60)::text, 2, '0')
            when 'TZHTZM' then case when minutes < 0 then '-' else '+' end
                || lpad((abs(minutes) / 60)::text, 2, '0') || lpad((abs(minutes) % 60)::text, 2, '0')
            when 'TZH:TZM' then case when minutes < 0 then '-' else '+' end
                || lpad((abs(minutes) / 60)::text, 2, '0') || ':' || lpad((abs(minutes) % 60)::text, 2, '0')
            when 'TZH' then case when minutes < 0 then '-' else '+' end || lpad((abs(minutes) / 60)::text, 2, '0')
            when 'TZM' then lpad((abs(minutes) % 60)::text, 2, '0')
            else case when part ~ '^FF[0-9]$' then left(fraction, substr(part, 3)::int)
                when part like '=%' then substr(part, 2)
                else part end
            end;
    end loop;
    return answer;
end $$;

-- Moments are truncated by calendar part; `local` in seconds of the wall clock.
create or replace function sfe.truncate_days(part text, day int) returns int
language plpgsql immutable strict parallel safe as $$
declare c int[] := sfe.civil(day);
begin
    return case part
        when 'year' then sfe.days(c[1], 1, 1)
        when 'quarter' then sfe.days(c[1], (c[2] - 1) / 3 * 3 + 1, 1)
        when 'month' then sfe.days(c[1], c[2], 1)
        when 'week' then day - ((day + 3) % 7 + 7) % 7
        else day end;
end $$;

-- Counts the part's boundaries since the epoch; DATEDIFF is a difference of two.
create or replace function sfe.ordinal(part text, local numeric) returns numeric
language plpgsql immutable strict parallel safe as $$
declare
    day int := floor(floor(local) / 86400);
    c int[] := sfe.civil(day);
begin
    return case part
        when 'year' then c[1]
        when 'quarter' then c[1] * 4 + (c[2] - 1) / 3
        when 'month' then c[1] * 12 + c[2] - 1
        when 'week' then floor((day + 3) / 7.0)
        when 'day' then day
        when 'hour' then floor(floor(local) / 3600)
        when 'minute' then floor(floor(local) / 60)
        when 'second' then floor(local)
        when 'millisecond' then floor(local * 1000)
        when 'microsecond' then floor(local * 1000000)
        when 'nanosecond' then floor(local * 1000000000) end;
end $$;

create or replace function sfe.date_part(part text, local numeric) returns numeric
language plpgsql immutable strict parallel safe as $$
declare
    day int := floor(floor(local) / 86400);
    c int[] := sfe.civil(day);
    rest numeric := local - day * 86400::numeric;
begin
    return case part
        when 'year' then c[1]
        when 'quarter' then (c[2] - 1) / 3 + 1
        when 'month' then c[2]
        when 'day' then c[3]
        when 'dayofweek' then ((day + 4) % 7 + 7) % 7
        when 'dayofyear' then day - sfe.days(c[1], 1, 1) + 1
        when 'hour' then floor(floor(rest) / 3600)
        when 'minute' then floor(floor(rest) / 60) % 60
        when 'second' then floor(rest) % 60
        when 'nanosecond' then (rest - floor(rest)) * 1000000000 end;
end $$;

-- Semi-structured data: kept as compact text ------------------------------------------------------------------

create or replace function sfe.compact_json(t text) returns text
language sql immutable strict parallel safe as
$$ select regexp_replace(t, '("(?:[^"\\]|\\.)*")|\s+', '\1', 'g') $$;

create or replace function sfe.parse_json(t text, try boolean) returns text
language plpgsql immutable strict parallel safe as $$
begin
    perform t::json;
    return sfe.compact_json(t);
exception when invalid_text_representation then
    if try then return null; end if;
    raise exception 'Error parsing JSON: %', left(t, 100) using errcode = 'SF069';
end $$;

create or replace function sfe.variant_text(v text) returns text
language sql immutable strict parallel safe as
$$ select case when v = 'null' then null when v like '"%' then (v::jsonb) #>> '{}' else v end $$;

create or replace function sfe.element(v text, key text) returns text
language plpgsql immutable strict parallel safe as $$
begin
    if left(v, 1) = '{' then
        return sfe.compact_json(((replace(v, 'undefined', 'null'))::json -> key)::text);
    end if;
    return null;
end $$;
commit;
