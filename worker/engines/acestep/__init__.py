"""Music by ACE-Step 1.5, through diffusers: weights whose makers allow one to sell what they compose."""
