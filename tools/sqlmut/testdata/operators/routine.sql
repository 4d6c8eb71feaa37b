CREATE FUNCTION judge(account text, OUT verdict text)
LANGUAGE plpgsql VOLATILE
SET search_path FROM CURRENT
AS $$
DECLARE
    r account;
    n integer := coalesce(1, 2);
BEGIN
    SELECT a.* INTO r FROM account AS a WHERE a.id = judge.account FOR UPDATE;
    IF NOT FOUND OR r.n = 0 THEN
        verdict := 'gone';
        RETURN;
    ELSIF r.n > 3 THEN
        RAISE EXCEPTION '%', r.n USING ERRCODE = 'check_violation';
    END IF;
    UPDATE account AS a SET n = 0, x = NULL WHERE a.id = r.id;
    GET DIAGNOSTICS n = ROW_COUNT;
    verdict := CASE WHEN n > 0 THEN 'changed' ELSE 'same' END;
END
$$
